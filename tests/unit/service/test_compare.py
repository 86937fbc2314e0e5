"""Single rules of normalisation, each with the form in which the engine or another client writes the same thing."""

from __future__ import annotations

from typing import Any

import pytest

from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service import canonical
from swarm_operator.domain.service.compare import Diff, compare, creation, live_mode, patch
from swarm_operator.domain.service.render import Desired, NetworksMissing, Owner, render, resolve_networks
from swarm_operator.domain.swarm import OverlayInfo, SwarmView

OWNER = Owner("uid-1", "default", "web")


def desired(**spec: Any) -> Desired:
    manifest = {"clusterRef": {"name": "c"}, "image": "nginx", **spec}
    return render(SwarmServiceSpec.model_validate(manifest), OWNER, {"front": "net1", "back": "net2"})


def against(live_change: Any, applied: tuple[str, ...] = (), **spec: Any) -> Diff:
    want = desired(**spec)
    live = creation(want)
    live_change(live)
    return compare(want, live, applied)


def container(**values: Any) -> Any:
    return lambda live: live["TaskTemplate"]["ContainerSpec"].update(values)


@pytest.mark.parametrize(
    ("want", "have", "same"),
    [
        ("nginx", "nginx:latest", True),
        ("nginx", "docker.io/library/nginx:latest@sha256:aa", True),
        ("nginx:1.25", "nginx:1.25@sha256:aa", True),
        ("nginx:1.25", "nginx:1.26@sha256:aa", False),
        ("index.docker.io/library/nginx", "nginx", True),
        ("library/nginx", "nginx", True),
        ("other/nginx", "nginx", False),
        ("r.example:5000/nginx", "r.example:5000/nginx:latest", True),
        ("r.example:5000/library/nginx", "r.example:5000/nginx", False),
        ("nginx@sha256:aa", "nginx:1.25@sha256:aa", True),
        ("nginx@sha256:aa", "nginx:1.25@sha256:bb", False),
        ("nginx:1.25@sha256:aa", "nginx:1.25@sha256:aa", True),
        ("nginx:1.25@sha256:aa", "nginx:1.26@sha256:aa", False),
        ("nginx@sha256:aa", "nginx", False),
        ("nginx:1.25", "nginx@sha256:aa", True),
    ],
)
def test_images(want: str, have: str, same: bool) -> None:
    diff = against(container(Image=have), image=want)
    assert bool(diff) is not same


def test_a_pinned_digest_stays_when_something_else_changes() -> None:
    live = creation(desired(image="nginx:1"))
    live["TaskTemplate"]["ContainerSpec"]["Image"] = "nginx:1@sha256:aa"
    patched = patch(desired(image="nginx:1", env=[{"name": "A", "value": "1"}]), live)
    assert patched["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1@sha256:aa"


def test_environment_is_a_map_and_unset_differs_from_empty() -> None:
    env = [{"name": "A", "value": "x=y"}, {"name": "B", "value": ""}]
    assert not against(container(Env=["B=", "A=x=y"]), env=env)
    assert against(container(Env=["B", "A=x=y"]), env=env).texts == ["env[B]"]
    assert against(container(Env=["B=", "A=secret", "C=1"]), env=env).texts == ["env[A, C]"]


def test_a_change_never_shows_values_that_can_be_secret() -> None:
    diff = against(
        container(Env=["A=hunter2"], Args=["--password=hunter2"], Labels={"k": "hunter2"}), env=[{"name": "A", "value": "hunter3"}], labels={"l": "hunter4"}
    )
    assert diff
    assert "hunter" not in " ".join(diff.texts)


def test_a_ratio_is_compared_as_the_engine_keeps_it() -> None:
    config = {"maxFailureRatio": 0.15}
    assert not against(lambda live: live["UpdateConfig"].update(MaxFailureRatio=0.15000000596046448), updateConfig=config)
    assert against(lambda live: live["UpdateConfig"].update(MaxFailureRatio=0.16), updateConfig=config).texts == [
        f"updateConfig.maxFailureRatio {canonical.float32(0.16)} -> {canonical.float32(0.15)}"
    ]


def test_an_absent_update_config_has_parallelism_one_and_zero_is_all_at_once() -> None:
    assert not against(lambda live: live.update(UpdateConfig={"Parallelism": 1}))
    assert against(lambda live: live.update(UpdateConfig={"Parallelism": 0}))


def test_a_restart_delay_of_zero_is_not_the_default() -> None:
    second = canonical.SECOND
    assert not against(lambda live: live["TaskTemplate"].update(RestartPolicy={"Condition": "any", "Delay": 5 * second, "MaxAttempts": 0}))
    assert against(lambda live: live["TaskTemplate"].update(RestartPolicy={"Delay": 0}))


def test_replicas_are_managed_only_when_declared() -> None:
    def scaled(live: dict[str, Any]) -> None:
        live["Mode"] = {"Replicated": {"Replicas": 7}}

    assert not against(scaled)
    diff = against(scaled, replicas=0)
    assert (diff.texts, diff.restarts) == (["replicas 7 -> 0"], False)


def test_another_mode_is_told_and_never_patched() -> None:
    want = desired(replicas=2)
    live = creation(want)
    live["Mode"] = {"Global": {}}
    assert compare(want, live).mode == "global"
    assert patch(want, live)["Mode"] == {"Global": {}}
    assert [live_mode({"Mode": m}) for m in ({}, {"ReplicatedJob": {}}, {"GlobalJob": {}})] == ["replicated", "replicated-job", "global-job"]


def test_labels_three_ways() -> None:
    def edited(live: dict[str, Any]) -> None:
        live["Labels"].update(ours="changed", former="left", foreign="kept")

    want = desired(labels={"ours": "1"})
    live = creation(want)
    edited(live)
    diff = compare(want, live, ["ours", "former"])
    assert (diff.texts, diff.restarts) == (["labels[former]", "labels[ours]"], False)
    labels = patch(want, live, ["ours", "former"])["Labels"]
    assert labels == {**OWNER.labels(), "ours": "1", "foreign": "kept"}


def test_networks_are_compared_by_id_without_order() -> None:
    networks = [{"name": "front", "aliases": ["a", "b"]}, {"name": "back"}]
    assert not against(lambda live: live["TaskTemplate"].update(Networks=[{"Target": "net2"}, {"Target": "net1", "Aliases": ["b", "a"]}]), networks=networks)
    assert against(lambda live: live["TaskTemplate"].update(Networks=[{"Target": "net1", "Aliases": ["a"]}, {"Target": "net2"}]), networks=networks)
    view = SwarmView("s", (), (OverlayInfo("net1", "front", "overlay"),))
    with pytest.raises(NetworksMissing) as caught:
        resolve_networks(SwarmServiceSpec.model_validate({"clusterRef": {"name": "c"}, "image": "i", "networks": networks}), view)
    assert caught.value.names == ["back"]


def test_a_chosen_port_is_not_drift() -> None:
    ports = [{"targetPort": 80}]
    assert not against(
        lambda live: live["EndpointSpec"].update(Mode="vip", Ports=[{"TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"}]), ports=ports
    )
    assert against(lambda live: live["EndpointSpec"]["Ports"].append({"TargetPort": 81}), ports=ports).restarts


def test_constraints_ignore_white_space_and_order() -> None:
    placement = {"constraints": ["node.role == worker", "node.labels.a!=b c"]}
    assert not against(lambda live: live["TaskTemplate"]["Placement"].update(Constraints=["node.labels.a != b c", "node.role==worker"]), placement=placement)


def test_order_matters_for_arguments() -> None:
    assert against(container(Args=["b", "a"]), args=["a", "b"]).texts == ["args"]


def test_clearing_a_field_removes_the_key_and_nothing_else() -> None:
    live = creation(desired(hostname="h", user="u"))
    live["TaskTemplate"]["Resources"] = {}
    patched = patch(desired(user="u"), live)
    assert "Hostname" not in patched["TaskTemplate"]["ContainerSpec"]
    assert patched["TaskTemplate"]["Resources"] == {}
    assert patched["TaskTemplate"]["ContainerSpec"]["User"] == "u"


def test_a_struct_is_written_over_the_live_one() -> None:
    live = creation(desired(updateConfig={"parallelism": 2}))
    live["UpdateConfig"]["FutureField"] = 1
    patched = patch(desired(updateConfig={"parallelism": 3}), live)
    assert (patched["UpdateConfig"]["Parallelism"], patched["UpdateConfig"]["FutureField"]) == (3, 1)


def test_the_owner_label_wins_over_a_users() -> None:
    assert desired(labels={"x": "y"}).labels == {"x": "y", **OWNER.labels()}
