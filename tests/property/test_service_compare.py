"""Properties of compare and patch over generated manifests and live specs."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service.compare import compare, creation, patch
from swarm_operator.domain.service.render import Owner, render

OWNER = Owner("uid-1", "default", "web")
NETWORKS = {name: f"id-of-{name}" for name in ("front", "back", "host")}

words = st.text("abcXYZ019-_./{}$ =é", min_size=1, max_size=8)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True)
labels = st.dictionaries(names, words, max_size=4)
ratios = st.integers(0, 1000).map(lambda n: n / 1000)
rollouts = st.fixed_dictionaries(
    {},
    optional={
        "parallelism": st.integers(0, 9),
        "delaySeconds": st.integers(0, 99),
        "monitorSeconds": st.integers(1, 99),
        "maxFailureRatio": ratios,
        "order": st.sampled_from(["stop-first", "start-first"]),
        "failureAction": st.sampled_from(["pause", "continue"]),
    },
)


def unique(strategy: st.SearchStrategy[Any], key: str) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=4, unique_by=lambda entry: entry[key])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def many(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), max_size=3, unique=True)


cpus, sizes, seconds = st.sampled_from(["1", "0.5", "500m", "1.25"]), st.sampled_from(["64Mi", "67108864", "1G", "5Mi"]), st.integers(0, 9)
targets = st.sampled_from(["/a", "/b", "/c"])
mounts = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("bind"), "target": targets, "source": st.sampled_from(["/s", "/t"])},
        optional={
            "readOnly": st.booleans(),
            "bindOptions": some(propagation=st.sampled_from(["rprivate", "rshared", "slave"]), nonRecursive=st.booleans()),
        },
    ),
    st.fixed_dictionaries(
        {"target": targets},
        optional={
            "source": names,
            "readOnly": st.booleans(),
            "volumeOptions": some(noCopy=st.booleans(), labels=labels, driver=names, driverOpts=labels),
        },
    ),
    st.fixed_dictionaries({"type": st.just("tmpfs"), "target": targets}, optional={"tmpfsOptions": some(size=sizes, mode=st.integers(0, 4095))}),
    st.fixed_dictionaries({"type": st.just("npipe"), "target": targets, "source": st.just("//./pipe/x")}),
)
TASK_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "groups": many("a", "b", "10"),
    "hostAliases": st.lists(
        st.fixed_dictionaries({"ip": st.sampled_from(["10.0.0.1", "::1"]), "hostnames": st.lists(names, min_size=1, max_size=2)}), max_size=3
    ),
    "init": st.booleans(),
    "tty": st.booleans(),
    "stdin": st.booleans(),
    "readOnly": st.booleans(),
    "stopSignal": st.sampled_from(["SIGTERM", "SIGINT", "9"]),
    "capabilities": some(add=many("NET_ADMIN", "CAP_SYS_TIME", "all"), drop=many("CHOWN", "ALL")),
    "sysctls": labels,
    "ulimits": unique(st.fixed_dictionaries({"name": st.sampled_from(["nofile", "nproc"]), "soft": seconds, "hard": st.integers(9, 20)}), "name"),
    "oomScoreAdj": st.integers(-5, 5),
    "isolation": st.sampled_from(["default", "process", "hyperv"]),
    "privileges": some(
        credentialSpec=st.one_of(st.fixed_dictionaries({"file": names}), st.fixed_dictionaries({"registry": names})),
        seLinuxContext=some(disable=st.booleans(), user=names, role=names, type=names, level=names),
        seccomp=st.one_of(st.just({"mode": "default"}), st.just({"mode": "unconfined"}), st.just({"mode": "custom", "profile": "{}"})),
        appArmor=st.sampled_from([{"mode": "default"}, {"mode": "disabled"}]),
        noNewPrivileges=st.booleans(),
    ),
    "mounts": unique(mounts, "target"),
    "dnsConfig": some(nameservers=many("9.9.9.9", "1.1.1.1"), searches=many("a.example", "b.example"), options=many("ndots:2", "rotate")),
    "healthcheck": st.one_of(
        st.just({"disable": True}),
        some(
            test=st.sampled_from([["CMD", "true"], ["CMD-SHELL", "a b"]]),
            intervalSeconds=seconds,
            timeoutSeconds=seconds,
            retries=seconds,
            startPeriodSeconds=seconds,
            startIntervalSeconds=seconds,
        ),
    ),
    "resources": some(
        limits=some(cpu=cpus, memory=sizes, pids=seconds),
        reservations=some(
            cpu=cpus,
            memory=sizes,
            genericResources=unique(st.fixed_dictionaries({"kind": st.sampled_from(["gpu", "fpga"]), "value": st.integers(1, 4)}), "kind"),
        ),
        memorySwap=sizes,
        memorySwappiness=st.integers(0, 100),
    ),
    "logDriver": st.fixed_dictionaries({"name": st.sampled_from(["json-file", "local"])}, optional={"options": labels}),
}

manifests = st.fixed_dictionaries(
    {
        "clusterRef": st.just({"name": "c"}),
        "image": st.sampled_from(["nginx", "nginx:1.25", "library/nginx", "r.example:5000/a/b:2", "nginx@sha256:" + "a" * 64]),
    },
    optional={
        "command": st.lists(words, max_size=3),
        "args": st.lists(words, max_size=3),
        "env": unique(st.fixed_dictionaries({"name": names, "value": words}), "name"),
        "workingDir": words,
        "user": names,
        "hostname": st.just("{{.Node.Hostname}}-{{.Task.Slot}}"),
        "labels": labels,
        "containerLabels": labels,
        "replicas": st.integers(0, 50),
        "placement": st.fixed_dictionaries(
            {},
            optional={
                "constraints": st.lists(st.sampled_from(["node.role==worker", "node.role == worker", "node.labels.a != b"]), max_size=3, unique=True),
                "preferences": st.lists(st.fixed_dictionaries({"spread": names.map("node.labels.".__add__)}), max_size=2),
                "maxReplicas": st.integers(0, 5),
                "platforms": st.lists(st.sampled_from([{"os": "linux", "architecture": "amd64"}, {"os": "linux"}]), min_size=1, max_size=2),
            },
        ),
        "networks": unique(
            st.fixed_dictionaries({"name": st.sampled_from(sorted(NETWORKS)), "aliases": st.lists(names, max_size=2, unique=True), "driverOpts": labels}),
            "name",
        ),
        "ports": unique(
            st.fixed_dictionaries(
                {"targetPort": st.integers(1, 99)},
                optional={
                    "publishedPort": st.integers(1, 99),
                    "protocol": st.sampled_from(["tcp", "udp"]),
                    "publishMode": st.sampled_from(["ingress", "host"]),
                },
            ),
            "targetPort",
        ),
        "updateConfig": rollouts,
        "rollbackConfig": rollouts,
        "restartPolicy": st.fixed_dictionaries(
            {},
            optional={
                "condition": st.sampled_from(["none", "any", "on-failure"]),
                "delaySeconds": st.integers(0, 9),
                "maxAttempts": st.integers(0, 9),
                "windowSeconds": st.integers(0, 9),
            },
        ),
        "stopGracePeriodSeconds": st.integers(0, 99),
        "endpointMode": st.sampled_from(["vip", "dnsrr"]),
        **TASK_FIELDS,
    },
)


def desired_of(manifest: dict[str, Any]) -> Any:
    return render(SwarmServiceSpec.model_validate(manifest), OWNER, NETWORKS)


def foreign(live: dict[str, Any]) -> dict[str, Any]:
    """What other tools and the engine put into a spec that the manifest says nothing of."""
    out = copy.deepcopy(live)
    out.setdefault("Labels", {})["com.docker.stack.namespace"] = "shop"
    template = out.setdefault("TaskTemplate", {})
    template["ForceUpdate"] = 7
    template["Runtime"] = "container"
    template.setdefault("ContainerSpec", {})["PullOptions"] = {"RegistryAuth": "x"}
    template.setdefault("Placement", {})["FutureField"] = [{"OS": "linux"}]
    template.setdefault("Resources", {}).setdefault("Limits", {})["FutureField"] = 1
    return out


ORDERLESS = (
    *("Env", "Constraints", "Networks", "Aliases", "Ports", "Groups", "CapabilityAdd", "CapabilityDrop", "Ulimits", "Mounts", "Options", "GenericResources"),
    "Platforms",
)
"""Lists whose order means nothing."""


def shuffled(value: Any, path: tuple[str, ...], random: Any) -> Any:
    """The live spec in another order, in the lists whose order means nothing."""
    if isinstance(value, dict):
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(entry, (*path, key), random) for key, entry in items}
    if isinstance(value, list):
        out = [shuffled(entry, path, random) for entry in value]
        if path[-1] in ORDERLESS:
            random.shuffle(out)
        return out
    return value


@given(manifests)
def test_what_is_created_is_what_is_declared(manifest: dict[str, Any]) -> None:
    desired = desired_of(manifest)
    assert compare(desired, creation(desired)).texts == []


@given(manifests, manifests)
@settings(max_examples=300)
def test_a_patch_removes_the_difference_and_keeps_what_is_foreign(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = desired_of(before), desired_of(after)
    live = foreign(creation(old))
    snapshot = copy.deepcopy(live)
    patched = patch(new, live, old.label_keys)
    assert live == snapshot
    assert compare(new, patched, old.label_keys).texts == []
    assert patch(new, patched, new.label_keys) == patched
    assert patched["Labels"]["com.docker.stack.namespace"] == "shop"
    foreign_paths = (("ForceUpdate",), ("Runtime",), ("ContainerSpec", "PullOptions"), ("Placement", "FutureField"), ("Resources", "Limits", "FutureField"))
    for path in foreign_paths:
        a: Any = snapshot["TaskTemplate"]
        b: Any = patched["TaskTemplate"]
        for key in path:
            a, b = a[key], b[key]
        assert a == b
    assert set(old.label_keys) - set(new.label_keys) - set(patched["Labels"]) == set(old.label_keys) - set(new.label_keys)


@given(manifests, st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_order_and_foreign_fields_are_no_difference_and_no_write(manifest: dict[str, Any], random: Any) -> None:
    desired = desired_of(manifest)
    live = shuffled(foreign(creation(desired)), (), random)
    assert compare(desired, live, desired.label_keys).texts == []
    assert patch(desired, live, desired.label_keys) == live


@given(manifests, st.randoms(use_true_random=False))
def test_render_is_deterministic(manifest: dict[str, Any], random: Any) -> None:
    keys = list(manifest)
    random.shuffle(keys)
    assert desired_of(manifest).digest == desired_of({key: manifest[key] for key in keys}).digest


@given(manifests, manifests)
def test_a_restart_is_announced_exactly_when_the_task_template_or_endpoint_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = desired_of(before), desired_of(after)
    live = foreign(creation(old))
    patched = patch(new, live, old.label_keys)
    touched = patched["TaskTemplate"] != live["TaskTemplate"] or patched.get("EndpointSpec") != live.get("EndpointSpec")
    assert compare(new, live, old.label_keys).restarts == touched


@given(manifests)
def test_explicit_engine_defaults_are_no_difference(manifest: dict[str, Any]) -> None:
    """`insertDefaults=true` and the CLI write defaults out; that is no drift."""
    desired = desired_of(manifest)
    live = creation(desired)
    live["TaskTemplate"].setdefault("RestartPolicy", {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0})
    live["TaskTemplate"]["ContainerSpec"].setdefault("StopGracePeriod", 10_000_000_000)
    live["TaskTemplate"].setdefault("Resources", {})
    for part in ("Limits", "Reservations"):
        live["TaskTemplate"]["Resources"].setdefault(part, {})
    for key, value in (("DNSConfig", {}), ("Init", False), ("Isolation", "default"), ("Configs", []), ("Secrets", []), ("Ulimits", []), ("Privileges", {})):
        live["TaskTemplate"]["ContainerSpec"].setdefault(key, value)
    live["TaskTemplate"].setdefault("Placement", {})
    default = {"Parallelism": 1, "Delay": 0, "FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0, "Order": "stop-first"}
    live.setdefault("UpdateConfig", dict(default))
    live.setdefault("RollbackConfig", dict(default))
    live.setdefault("EndpointSpec", {}).setdefault("Mode", "vip")
    assert compare(desired, live).texts == []
