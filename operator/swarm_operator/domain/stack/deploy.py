"""`deploy` of a service, and `restart`, which stands in for its restart policy."""

from __future__ import annotations

import re
from typing import Final

from swarm_operator.domain.stack.parts import Json, given
from swarm_operator.domain.stack.section import Section

_MODES: Final = ("replicated", "global", "replicated-job", "global-job")


def deploy_of(service: Section) -> Json:
    """Fields of the spec; `labels` among them."""
    deploy = service.section("deploy")
    found = given(
        labels=deploy.labels("labels"),
        endpointMode=(deploy.text("endpoint_mode") or "").lower(),
        placement=_placement(deploy.section("placement")),
        resources=_resources(deploy.section("resources")),
        **_mode(deploy),
        **_restart(service, deploy),
        **{f"{word}Config": _rollout(deploy, f"{word}_config") for word in ("update", "rollback")},
    )
    deploy.close()
    if str(found.get("mode")).endswith("job") and "restartPolicy" in found and found["restartPolicy"].get("condition", "any") == "any":
        found["restartPolicy"]["condition"] = "on-failure"  # so does the engine: a job that is done is not to run again
    return found


def _mode(deploy: Section) -> Json:
    mode, replicas = deploy.text("mode") or "replicated", deploy.integer("replicas")
    if mode not in _MODES:
        deploy.fail("mode", f"must be one of {', '.join(_MODES)}, not {mode}")
        return {}
    if mode.startswith("global") and replicas is not None:
        deploy.fail("replicas", f"must not be set with mode {mode}")
    if mode == "replicated":
        return given(mode=mode, replicas=replicas)
    if mode == "replicated-job" and replicas is not None:
        return {"mode": mode, "job": {"completions": replicas, **given(maxConcurrent=replicas or None)}}
    return {"mode": mode}


def _placement(placement: Section) -> Json:
    preferences = []
    for key, entry in placement.entries("preferences"):
        part = Section(entry, f"{placement.path}.{key}", placement.notes)
        preferences += [{"spread": spread}] if (spread := part.text("spread")) is not None else []
        part.close()
    found = given(constraints=placement.texts("constraints"), preferences=preferences, maxReplicas=placement.integer("max_replicas_per_node") or None)
    placement.close()
    return found


def _resources(resources: Section) -> Json:
    out: Json = {}
    for name in ("limits", "reservations"):
        part = resources.section(name)
        # Nothing, to the engine, is no limit.
        cpus, memory = part.processors("cpus"), part.size("memory")
        found = given(cpu=None if cpus == "0" else cpus, memory=None if memory == "0" else memory)
        if name == "limits":
            found |= given(pids=part.integer("pids") or None)
        else:
            found |= given(genericResources=_generic(part))
            part.ignore("devices")
        part.close()
        out |= given(**{name: found})
    resources.close()
    return out


def _generic(reservations: Section) -> list[Json]:
    found = []
    for key, entry in reservations.entries("generic_resources"):
        outer = Section(entry, f"{reservations.path}.{key}", reservations.notes)
        part = outer.section("discrete_resource_spec")
        kind, value = part.text("kind"), part.integer("value")
        part.close()
        outer.close()
        if kind is None or value is None:
            outer.fail("discrete_resource_spec", "must have kind and value")
        else:
            found.append({"kind": kind, "value": value})
    return found


def _rollout(deploy: Section, key: str) -> Json | None:
    if not deploy.has(key):
        return None
    part = deploy.section(key)
    found = given(
        parallelism=part.integer("parallelism"),
        delaySeconds=part.duration("delay"),
        monitorSeconds=part.duration("monitor") or None,  # 0 is the engine's default to the engine
        failureAction=part.text("failure_action"),
        maxFailureRatio=part.ratio("max_failure_ratio"),
        order=part.text("order"),
    )
    part.close()
    return found or None


def _restart(service: Section, deploy: Section) -> Json:
    policy = service.text("restart")
    if deploy.has("restart_policy"):
        part = deploy.section("restart_policy")
        found = given(
            condition=part.text("condition"),
            delaySeconds=part.duration("delay"),
            maxAttempts=part.integer("max_attempts"),
            windowSeconds=part.duration("window"),
        )
        part.close()
        if policy is not None:
            service.ignore("restart", why="deploy.restart_policy says it")
        return given(restartPolicy=found)
    if policy is None:
        return {}
    match = re.fullmatch(r"(no|none|always|unless-stopped|on-failure)(?::([0-9]{1,9}))?", policy)
    if match is None:
        service.fail("restart", f"must be no, always, unless-stopped or on-failure[:N], not {policy}")
        return {}
    if match[1] in ("no", "none"):
        service.ignore("restart", why="to `docker stack deploy` it says nothing; set deploy.restart_policy.condition to none")
        return {}
    attempts = int(match[2] or 0)
    return {"restartPolicy": {"condition": "on-failure" if match[1] == "on-failure" else "any", **given(maxAttempts=attempts or None)}}
