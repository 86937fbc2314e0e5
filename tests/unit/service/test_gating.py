"""Fields that an engine is too old for, and jobs, which no drift may run again."""

from __future__ import annotations

from typing import Any

import pytest

from swarm_operator.api.quantities import in_bytes, nano_cpus
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service.gating import parse_version, unsupported
from swarm_operator.domain.service.render import Owner, render
from unit.service.test_controller import SPEC, WEB, World, world

__all__ = ["world"]

GATED: list[tuple[dict[str, Any], str, str]] = [
    ({"oomScoreAdj": 5}, "spec.oomScoreAdj", "1.46"),
    ({"privileges": {"seccomp": {"mode": "unconfined"}}}, "spec.privileges.seccomp", "1.44"),
    ({"privileges": {"appArmor": {"mode": "disabled"}}}, "spec.privileges.appArmor", "1.44"),
    ({"privileges": {"noNewPrivileges": True}}, "spec.privileges.noNewPrivileges", "1.44"),
    ({"healthcheck": {"startIntervalSeconds": 1}}, "spec.healthcheck.startIntervalSeconds", "1.44"),
    ({"resources": {"memorySwap": "1G", "limits": {"memory": "1G"}}}, "spec.resources.memorySwap", "1.52"),
    ({"resources": {"memorySwappiness": 0}}, "spec.resources.memorySwappiness", "1.52"),
]


@pytest.mark.parametrize(("fields", "named", "needed"), GATED)
def test_every_newer_field_is_gated_by_the_version_that_brought_it(fields: dict[str, Any], named: str, needed: str) -> None:
    desired = render(SwarmServiceSpec.model_validate({"clusterRef": {"name": "c"}, "image": "nginx", **fields}), Owner("u", "n", "w"), {})
    assert unsupported(desired, "1.41") == f"the engine speaks Docker API 1.41: {named} needs API {needed}"
    assert unsupported(desired, needed) is None
    assert unsupported(desired, "") is None


def test_versions_compare_as_numbers() -> None:
    assert parse_version("1.9") < parse_version("1.10")  # type: ignore[operator]
    assert parse_version("dev") is None


def test_quantities() -> None:
    assert [nano_cpus(text) for text in ("2", "0.5", "250m", "1.000000001", None)] == [2 * 10**9, 5 * 10**8, 25 * 10**7, 1000000001, None]
    assert [in_bytes(text) for text in ("5", "64Mi", "1k", "2G", "1Ti", None)] == [5, 2**26, 1000, 2 * 10**9, 2**40, None]


def test_an_unsupported_field_is_told_and_nothing_is_written(world: World) -> None:
    world.swarm.engine_api_version = "1.41"
    world.objects.put(WEB, {**SPEC, "oomScoreAdj": 5})
    world.once()
    world.once()
    assert world.swarm.services == {}
    assert world.condition("Applied") == ("False", "UnsupportedField")
    assert world.condition("Stalled") == ("True", "UnsupportedField")
    assert "spec.oomScoreAdj needs API 1.46" in next(c["message"] for c in world.status["conditions"] if c["type"] == "Applied")
    world.swarm.engine_api_version = "1.46"
    world.once()
    assert world.live["Spec"]["TaskTemplate"]["ContainerSpec"]["OomScoreAdj"] == 5


def test_drift_of_a_job_is_told_but_never_runs_it_again_while_a_new_run_id_does(world: World) -> None:
    job = {"clusterRef": {"name": "c"}, "image": "nginx:1", "mode": "replicated-job", "job": {"completions": 2, "runId": "a"}}
    world.objects.put(WEB, job)
    world.once()
    assert world.live["Spec"]["Mode"] == {"ReplicatedJob": {"TotalCompletions": 2, "MaxConcurrent": 2}}
    world.outside(lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image="other:1"))
    for _ in range(3):
        world.once()
    assert "update_service" not in [call.split()[0] for call in world.swarm.calls]
    assert world.condition("Drifted") == ("True", "DriftFound")
    world.objects.put(WEB, {**job, "job": {"completions": 2, "runId": "b"}})
    world.once()
    assert [call.split()[0] for call in world.swarm.calls].count("update_service") == 1
    assert world.live["Spec"]["Labels"]["io.swarmops.job-run"] == "b"
