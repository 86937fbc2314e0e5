"""The Docker adapter, the session and the SwarmService controller on a real dockerd of our own (see `private_engine`); skipped where that can't run."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.live_service import WEB, Running, error_of, until
from integration.private_engine import GUEST, HEARTBEAT_SECONDS, PrivateEngine, swarm_of
from swarm_operator.adapters.docker import DockerSwarm
from swarm_operator.adapters.docker.transport import Transport
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster.overlays import used
from swarm_operator.domain.errors import ErrorKind
from swarm_operator.domain.swarm import SwarmSettings

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with swarm_of(PrivateEngine()) as engine:
        yield engine


@pytest.fixture
def swarm(engine: PrivateEngine) -> Iterator[DockerSwarm]:
    opened = DockerSwarm(Transport([engine.endpoint], engine.tls))
    yield opened
    opened.close()


def spec_of(name: str, **container: Any) -> dict[str, Any]:
    return {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "none", **container}}, "Mode": {"Replicated": {"Replicas": 0}}}


def test_view_tells_nodes_and_swarm_scoped_networks(swarm: DockerSwarm) -> None:
    view = swarm.view(with_tasks=True)
    (node,) = view.nodes
    assert (node.role, node.availability, node.state, node.leader) == ("manager", "active", "ready", True)
    assert view.swarm_id
    assert view.engine_api_version >= "1.41"
    assert {"ingress", "host", "bridge"} <= {n.name for n in view.networks}
    network_id = swarm.create_network("blue", attachable=True, encrypted=True, subnet="10.66.0.0/24", labels={"a": "b"})
    (blue,) = (n for n in swarm.view().networks if n.name == "blue")
    assert (blue.id, blue.driver, blue.attachable, blue.encrypted, blue.labels) == (network_id, "overlay", True, True, {"a": "b"})
    assert (blue.internal, blue.subnets) == (False, ("10.66.0.0/24",))


def test_networks_with_options_and_their_removal(engine: PrivateEngine, swarm: DockerSwarm) -> None:
    options = {"com.docker.network.driver.mtu": "1400"}
    network_id = swarm.create_network("inner", attachable=False, encrypted=False, subnet=None, labels={}, internal=True, driver_opts=options)
    (inner,) = (n for n in swarm.view().networks if n.name == "inner")
    assert inner.internal and not inner.encrypted
    assert "1400" in engine.docker("network", "inspect", "inner").stdout
    service = swarm.create_service({**spec_of("attached"), "TaskTemplate": {"ContainerSpec": {"Image": "none"}, "Networks": [{"Target": network_id}]}})
    (listed,) = (s for s in swarm.list_services() if s["ID"] == service)
    assert used([listed]) == {network_id}
    refused = error_of(lambda: swarm.remove_network(network_id))
    assert refused.kind is ErrorKind.INVALID and "in use by service" in refused.message
    swarm.remove_service(service)
    swarm.remove_network(network_id)
    swarm.remove_network(network_id)
    assert "inner" not in {n.name for n in swarm.view().networks}


def test_the_engines_failures_are_told_apart(swarm: DockerSwarm) -> None:
    service_id = swarm.create_service(spec_of("errors"))
    taken = error_of(lambda: swarm.create_service(spec_of("errors")))
    assert (taken.kind, taken.reason) == (ErrorKind.CONFLICT, Reason.NAME_CONFLICT)
    assert error_of(lambda: swarm.update_service(service_id, 1, spec_of("errors"))).kind is ErrorKind.CONFLICT
    bad = error_of(lambda: swarm.create_service(spec_of("bad", Image="")))
    assert (bad.kind, bad.reason, bad.message) == (ErrorKind.INVALID, Reason.ENGINE_REJECTED, "ContainerSpec: image reference must be provided")
    no_network = spec_of("bad")
    no_network["TaskTemplate"]["Networks"] = [{"Target": "nope"}]
    assert error_of(lambda: swarm.create_service(no_network)).reason is Reason.NETWORK_NOT_FOUND
    version = swarm.inspect_service(service_id)["Version"]["Index"]  # type: ignore[index]
    renamed = error_of(lambda: swarm.update_service(service_id, version, spec_of("other")))
    assert renamed.kind is ErrorKind.INVALID
    swarm.remove_service(service_id)
    swarm.remove_service(service_id)
    assert swarm.inspect_service(service_id) is None


def test_tokens_rotate_and_nodes_update(swarm: DockerSwarm) -> None:
    before = swarm.join_token("worker")
    assert before.startswith("SWMTKN-1-")
    assert swarm.join_token("manager") not in ("", before)
    swarm.rotate_join_token("worker")
    assert swarm.join_token("worker") != before
    (node,) = swarm.view().nodes
    swarm.update_node(node.id, node.version, role="manager", availability="active", labels={"zone": "a"})
    (after,) = swarm.view().nodes
    assert after.labels == {"zone": "a"}
    stale = error_of(lambda: swarm.update_node(node.id, node.version, role="manager", availability="active", labels={}))
    assert stale.kind is ErrorKind.CONFLICT
    swarm.remove_node("absent")


def test_settings_of_the_swarm_are_read_and_changed(swarm: DockerSwarm) -> None:
    before = swarm.view().settings
    assert before is not None and before.heartbeat_seconds == HEARTBEAT_SECONDS and before.cert_expiry_hours == 2160
    wanted = SwarmSettings(7, 9, 100)
    swarm.update_settings(wanted)
    assert swarm.view().settings == wanted
    swarm.update_settings(before)
    assert swarm.view().settings == before


def test_the_root_is_rotated_once_for_each_call_that_saw_it_as_it_is(swarm: DockerSwarm) -> None:
    before = swarm.view().authority
    assert before is not None and not before.rotating
    assert swarm.rotate_authority(before.force_rotate)
    assert not swarm.rotate_authority(before.force_rotate), "it was begun already"

    def complete() -> bool:
        view = swarm.view()
        root = view.authority
        return root is not None and not root.rotating and root.fingerprint != before.fingerprint and all(n.issuer == root.issuer for n in view.nodes)

    until(complete, 60, "every node has a certificate of the new root")
    after = swarm.view().authority
    assert after is not None and after.force_rotate == before.force_rotate + 1 and after.issuer != before.issuer


def test_autolock_and_its_key(engine: PrivateEngine, swarm: DockerSwarm) -> None:
    """What the Secret of unlock keys is kept by: the key is told only once it is in force, and the version of the cluster object tells key files apart."""
    assert swarm.unlock_key() == ""
    version = swarm.cluster_version()
    swarm.set_autolock(True, version)
    settings = swarm.view().settings
    assert settings is not None and settings.autolock
    swarm.update_settings(SwarmSettings(settings.task_history_limit, settings.heartbeat_seconds, settings.cert_expiry_hours))
    assert swarm.view().settings == settings, "other settings leave it alone"
    first = swarm.unlock_key()
    assert first.startswith("SWMKEY-1-")
    assert error_of(lambda: swarm.rotate_unlock_key(version)).kind is ErrorKind.CONFLICT
    version = swarm.cluster_version()
    swarm.rotate_unlock_key(version)
    second = swarm.unlock_key()
    assert second not in ("", first)
    until(lambda: (engine.kek_version() or 0) > version, 10, "the key file is encrypted with the new key")
    engine.halt()
    engine.launch()
    locked = error_of(swarm.view)
    assert locked.reason is Reason.QUORUM_LOST and "unlocked" in locked.message
    engine.docker("swarm", "unlock", data=second.encode())
    until(lambda: engine.docker("node", "ls", check=False).returncode == 0, 30, "unlocked")
    swarm.set_autolock(False, swarm.cluster_version())
    until(lambda: engine.kek_version() is None, 10, "the key file is plain again")


def test_a_manager_that_does_not_answer_is_passed_over(engine: PrivateEngine) -> None:
    both = DockerSwarm(Transport([f"tcp://{GUEST}:1", engine.endpoint], engine.tls))
    assert both.list_services() == []
    service_id = both.create_service(spec_of("failover"))
    both.remove_service(service_id)
    both.close()
    assert error_of(both.list_services).kind is ErrorKind.UNREACHABLE
    dead = DockerSwarm(Transport([f"tcp://{GUEST}:1"], engine.tls))
    assert error_of(lambda: dead.create_service(spec_of("x"))).kind is ErrorKind.UNREACHABLE
    dead.close()


def test_a_stranger_is_refused(engine: PrivateEngine) -> None:
    stranger = DockerSwarm(Transport([engine.endpoint], engine.wrong_tls))
    assert error_of(stranger.list_services).kind is ErrorKind.UNAUTHORIZED
    stranger.close()


def test_keys_are_on_no_disk_and_freed(engine: PrivateEngine) -> None:
    before = set(Path(tempfile.gettempdir()).iterdir())
    transport = Transport([engine.endpoint], engine.tls)
    assert transport.get("/services") == []
    assert not [n for n in set(Path(tempfile.gettempdir()).iterdir()) - before if "tls" in n.name]
    key = Path(transport._files.key)
    assert str(key.readlink()).startswith("/memfd:")
    transport.close()
    transport.close()
    assert not key.exists() or not str(key.readlink()).startswith("/memfd:swarm-operator-tls")


def test_events_come_at_once_and_survive_heartbeats(swarm: DockerSwarm) -> None:
    seen: list[tuple[str, str, float]] = []
    beats: list[float] = []
    ready, done = threading.Event(), threading.Event()

    def follow() -> None:
        for event in swarm.events(timeout=0.7):
            ready.set()
            if event is None:
                beats.append(time.monotonic())
            elif event.type == "service":
                seen.append((event.action, event.actor_id, time.monotonic()))
            if done.is_set():
                return

    thread = threading.Thread(target=follow)
    thread.start()
    assert ready.wait(5)
    sent = time.monotonic()
    service_id = swarm.create_service(spec_of("watched"))
    until(lambda: ("create", service_id) in [s[:2] for s in seen], 1, "the create event")
    assert seen[-1][2] - sent < 0.5
    time.sleep(2.2)
    swarm.remove_service(service_id)
    until(lambda: ("remove", service_id) in [s[:2] for s in seen], 1, "the remove event")
    done.set()
    thread.join(5)
    assert not thread.is_alive()
    assert len(beats) >= 3
    assert [s[:2] for s in seen].count(("create", service_id)) == 1


EVERYTHING: dict[str, Any] = {
    "image": "library/nothing:1",
    "command": ["/bin/sh"],
    "args": ["-c", "echo $$HOME {{.Task.Slot}}"],
    "env": [{"name": "B", "value": "x=y"}, {"name": "A", "value": ""}],
    "workingDir": "/tmp",
    "user": "1000:1000",
    "hostname": "{{.Node.Hostname}}",
    "labels": {"tier": "front"},
    "containerLabels": {"in": "side"},
    "replicas": 0,
    "placement": {"constraints": ["node.role == manager", "node.labels.zone != z"], "preferences": [{"spread": "node.labels.zone"}], "maxReplicas": 3},
    "networks": [{"name": "green", "aliases": ["b", "a"]}, {"name": "red"}],
    "ports": [{"targetPort": 80, "publishedPort": 8080, "publishMode": "host"}, {"targetPort": 53, "protocol": "udp", "publishMode": "host"}],
    "updateConfig": {"parallelism": 2, "maxFailureRatio": 0.15, "failureAction": "rollback", "order": "start-first", "monitorSeconds": 2},
    "rollbackConfig": {"delaySeconds": 1},
    "restartPolicy": {"condition": "on-failure", "maxAttempts": 3},
    "stopGracePeriodSeconds": 3,
    "endpointMode": "dnsrr",
}


def test_every_field_reads_back_without_a_difference(running: Running) -> None:
    """The normalisation rules against a real engine: after the create no write follows, though the engine stores other forms."""
    for name in ("green", "red"):
        running.engine.docker("network", "create", "-d", "overlay", name)
    running.apply(EVERYTHING)
    running.wait("Ready", "True")
    version = running.live()["Version"]["Index"]
    for _ in range(3):
        running.queue.add(WEB)
        time.sleep(0.3)
    assert running.live()["Version"]["Index"] == version
    assert [e[0] for e in running.objects.events] == ["Created"]
    # The CLI rewrites what it touches, in its own order and with its own defaults: only what was asked for is drift.
    running.engine.docker("service", "update", "--detach", "--label-add", "other=1", "--env-add", "A=", "--stop-grace-period", "3s", "web")
    until(lambda: running.live()["Version"]["Index"] > version, 5, "the update by hand")
    time.sleep(1)
    assert [e for e in running.objects.events if e[0] != "Created"] == []
    assert running.live()["Spec"]["Labels"]["other"] == "1"
    running.delete()
    until(lambda: WEB not in running.objects.resources, 10, "deletion")


def test_scale_and_removal_by_hand_are_put_back_within_a_second_or_so(running: Running) -> None:
    running.apply({"image": "none", "replicas": 0})
    running.wait("Ready", "True")
    took = []
    for _ in range(3):
        before = running.objects.resources[WEB].status.get("corrections", 0)
        running.engine.docker("service", "scale", "--detach", "web=2")
        took.append(until(lambda: running.replicas() == 0, 3, "the scale is put back"))
        until(lambda before=before: running.objects.resources[WEB].status["corrections"] == before + 1, 3, "the correction is counted")  # type: ignore[misc]
    old = running.live()["ID"]
    running.engine.docker("service", "rm", "web")
    took.append(until(lambda: running.replicas() == 0 and running.live()["ID"] != old, 3, "the service is created again"))
    running.wait("Ready", "True")
    print("repaired after", [round(t, 2) for t in took])
    assert max(took) < 2
    assert running.objects.resources[WEB].status["serviceID"] == running.live()["ID"]


def test_real_tasks_converge_keep_running_over_harmless_changes_and_roll_back(running: Running) -> None:
    if not running.engine.import_image("busybox:real"):
        pytest.skip("no static busybox on this machine")
    update = {"failureAction": "rollback", "monitorSeconds": 2, "order": "start-first"}
    spec: dict[str, Any] = {"image": "busybox:real", "args": ["sleep", "100000"], "replicas": 2, "updateConfig": update, "stopGracePeriodSeconds": 0}
    running.apply(spec)
    running.wait("Ready", "True", 40)
    tasks = running.running()
    assert len(tasks) == 2
    running.apply({**spec, "labels": {"a": "b"}, "updateConfig": {**update, "parallelism": 2}})
    running.wait("Ready", "True", 20)
    assert running.live()["Spec"]["Labels"]["a"] == "b"
    assert running.running() == tasks
    running.engine.docker("service", "scale", "--detach", "web=3")
    until(lambda: running.replicas() == 2, 5, "the scale is put back")
    until(lambda: running.running() == tasks, 20, "the same tasks run")
    running.wait("Ready", "True", 20)
    # A command that fails at once: the engine rolls back; we hold and say so.
    running.apply({**spec, "args": ["/bin/sh", "-c", "exit 3"], "restartPolicy": {"condition": "none"}})
    running.wait("Stalled", "True", 60)
    assert running.condition("Ready")["reason"] == "RolledBack", running.objects.resources[WEB].status
    held = running.live()["Version"]["Index"]
    time.sleep(3)
    assert running.live()["Version"]["Index"] == held
    assert [e[0] for e in running.objects.events].count("RolledBack") == 1
    assert len(running.running()) == 2
    running.apply(spec)
    running.wait("Ready", "True", 40)
    # An image that no node has: the engine's words are in the status.
    running.apply({**spec, "image": "no.such.registry.invalid/x:1", "updateConfig": {"failureAction": "pause", "monitorSeconds": 2}})
    until(lambda: any("No such image" in f["error"] for f in running.objects.resources[WEB].status.get("failingTasks", ())), 40, "the failing task is told")
    assert running.condition("Ready")["status"] == "False"
    running.delete()
    until(lambda: WEB not in running.objects.resources, 20, "deletion")


def test_a_rollback_by_hand_while_we_are_away_is_drift(engine: PrivateEngine, running: Running) -> None:
    running.apply({"image": "none:1", "replicas": 0})
    running.wait("Ready", "True")
    running.apply({"image": "none:2", "replicas": 0})
    running.wait("Ready", "True")
    running.close()
    engine.docker("service", "rollback", "--detach", "web")
    resource = running.objects.resources[WEB]
    swarm = DockerSwarm(Transport([engine.endpoint], engine.tls))
    try:
        until(lambda: (swarm.inspect_service("web") or {})["UpdateStatus"]["State"] == "rollback_completed", 10, "the rollback is done")
        again = Running(engine)
        again.objects.resources[WEB] = resource
        again.queue.add(WEB)
        until(lambda: (swarm.inspect_service("web") or {})["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "none:2", 10, "it is put back")
        again.wait("Ready", "True")
        assert again.objects.resources[WEB].status["corrections"] == 1
        again.close()
    finally:
        swarm.close()


def test_a_manager_that_goes_away_and_comes_back(running: Running) -> None:
    running.apply({"image": "none", "replicas": 0})
    running.wait("Ready", "True")
    running.engine.halt()
    running.queue.add(WEB, urgent=True)
    running.apply({"image": "none", "replicas": 0, "labels": {"n": "2"}})
    running.wait("ClusterReachable", "False", 20)
    assert running.condition("Ready")["status"] == "False"
    running.engine.launch()
    running.wait("Ready", "True", 60)
    assert running.live()["Spec"]["Labels"]["n"] == "2"
    running.engine.docker("service", "scale", "--detach", "web=1")
    until(lambda: running.replicas() == 0, 40, "events or the resync work again")
