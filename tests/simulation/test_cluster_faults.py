"""Bad input and faults of the outer world: a condition with reason and message within one reconcile, a retry that is not too soon, nothing lost, nothing made twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import World, drive
from simulator.guests import SimSwarm
from simulator.world import KEY
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.outcome import After, Retry


def failing(kind: ErrorKind, text: str = "as the test says", **extra: object) -> ExternalError:
    return ExternalError(kind, "openstack", text, **extra)  # type: ignore[arg-type]


def test_missing_secret() -> None:
    world = World()
    kept = world.objects.secrets.pop(("default", "cloud"))
    outcome = world.controller().reconcile(KEY)
    assert isinstance(outcome, Retry)
    assert world.condition("CredentialsValid") == ("False", "SecretNotFound") == world.condition("Ready")
    assert world.condition("Stalled") == ("True", "SecretNotFound") and "'cloud'" in world.message("Ready")
    world.objects.secrets[("default", "cloud")] = kept
    drive(world, lambda: world.ready)


@pytest.mark.parametrize(
    ("call", "error", "condition", "expected", "minimum"),
    [
        ("clouds.open", failing(ErrorKind.INVALID, reason=Reason.CLOUD_NOT_FOUND), "CredentialsValid", ("False", "CloudNotFound"), 1),
        ("cloud.check_credentials", failing(ErrorKind.UNAUTHORIZED), "CredentialsValid", ("False", "AuthenticationFailed"), 30),
        ("cloud.check_credentials", failing(ErrorKind.UNREACHABLE), "CredentialsValid", ("Unknown", "CloudUnreachable"), 1),
        ("cloud.list_servers", failing(ErrorKind.UNAUTHORIZED), "CredentialsValid", ("False", "AuthenticationFailed"), 30),
        ("cloud.list_servers", failing(ErrorKind.TRANSIENT), "MembersUpToDate", ("Unknown", "CloudUnreachable"), 1),
        ("cloud.list_owned_networking", failing(ErrorKind.TRANSIENT), "InfrastructureReady", ("Unknown", "CloudUnreachable"), 1),
        ("cloud.create_network", failing(ErrorKind.QUOTA), "InfrastructureReady", ("False", "QuotaExceeded"), 30),
        ("cloud.create_security_group", failing(ErrorKind.RATE_LIMITED, retry_after=17.0), "InfrastructureReady", ("Unknown", "RateLimited"), 17),
        ("cloud.create_server", failing(ErrorKind.QUOTA, "Quota exceeded for cores"), "MembersUpToDate", ("False", "QuotaExceeded"), 30),
        ("cloud.create_server", failing(ErrorKind.NO_CAPACITY), "MembersUpToDate", ("False", "NoCapacity"), 30),
        ("cloud.create_server", failing(ErrorKind.FORBIDDEN), "MembersUpToDate", ("False", "Forbidden"), 30),
        ("cloud.create_server", failing(ErrorKind.UNREACHABLE), "MembersUpToDate", ("Unknown", "CloudUnreachable"), 1),
        ("cloud.create_security_group", failing(ErrorKind.CONFLICT), "InfrastructureReady", ("False", "Conflict"), 1),
        ("cloud.list_servers", failing(ErrorKind.TRANSIENT, reason=Reason.CLOUD_FAILING), "MembersUpToDate", ("Unknown", "CloudFailing"), 2),
        ("cloud.list_servers", failing(ErrorKind.UNREACHABLE, "not sent", retry_after=12.0), "MembersUpToDate", ("Unknown", "CloudUnreachable"), 12),
        ("cloud.create_server", failing(ErrorKind.AMBIGUOUS), "MembersUpToDate", ("Unknown", "CloudUnreachable"), 5),
    ],
)
def test_error_classes(call: str, error: ExternalError, condition: str, expected: tuple[str, str], minimum: float) -> None:
    world = World()
    world.faults.errors[call] = error
    outcome = drive(world, lambda: world.condition(condition) == expected)[-1]
    assert isinstance(outcome, Retry) and outcome.minimum == minimum
    assert error.message in world.message(condition)
    assert world.condition("Ready") == expected
    writes = world.objects.status_writes
    for _ in range(3):
        world.clock.advance(minimum)
        world.controller().reconcile(KEY)
        assert world.condition(condition) == expected
    assert world.objects.status_writes - writes <= 12
    del world.faults.errors[call]
    drive(world, lambda: world.ready)
    assert world.cloud.created_servers == 2 and len(world.cloud.networks) == 1


@pytest.mark.parametrize("name", ["small", "debian"])
def test_unknown_reference(name: str) -> None:
    world = World()
    world.cloud.missing.add(name)
    assert isinstance(world.controller().reconcile(KEY), Retry)
    assert world.condition("MembersUpToDate") == ("False", "ReferenceNotFound") and name in world.message("Ready")
    assert world.condition("Stalled")[0] == "True"
    world.cloud.missing.clear()
    drive(world, lambda: world.ready)


def test_refused_creates_are_rare_and_others_go_on() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.faults.errors["cloud.create_server"] = failing(ErrorKind.QUOTA, "Quota exceeded for instances")
    world.scale(3)
    drive(world, lambda: world.condition("Ready") == ("False", "QuotaExceeded"), controller)
    start, calls = world.clock.monotonic(), len(world.faults.calls)
    while world.clock.monotonic() - start < 300:
        world.tick()
        outcome = controller.reconcile(KEY)
        world.clock.advance(outcome.seconds if isinstance(outcome, After) else max(1.0, getattr(outcome, "minimum", 1.0)))
        assert world.condition("Ready") == ("False", "QuotaExceeded")
    assert world.faults.calls[calls:].count("cloud.create_server") <= 22
    assert "Quota exceeded for instances" in world.message("MembersUpToDate")
    del world.faults.errors["cloud.create_server"]
    drive(world, lambda: world.ready, controller)
    assert len(world.servers) == 4


def test_build_error_shows_the_fault_and_is_repeated_slowly() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.cloud.build_fault = "No valid host was found. There are not enough hosts available."
    world.scale(2)
    start = world.clock.monotonic()
    drive(world, lambda: world.condition("Ready") == ("False", "NoCapacity"), controller)
    assert "not enough hosts" in world.message("Ready")
    while world.clock.monotonic() - start < 600:
        drive(world, lambda: world.clock.monotonic() - start >= 600 or world.condition("Ready")[1] == "NoCapacity", controller)
        outcome = controller.reconcile(KEY)
        world.clock.advance(getattr(outcome, "seconds", 5.0))
        world.tick()
    assert any("not enough hosts" in n.message for n in world.status.nodes) or world.condition("MembersUpToDate")[1] == "ServerBuilding"
    assert world.cloud.created_servers <= 2 + 6
    world.cloud.build_fault = None
    drive(world, lambda: world.ready, controller)
    assert len(world.servers) == 3
    assert next(n for n in world.status.nodes if n.slot == 1).incarnation > 1


def test_manager_in_error_before_the_swarm_is_made_again() -> None:
    world = World()
    world.cloud.build_fault = "Build of instance aborted"
    drive(world, lambda: world.condition("Ready") == ("False", "ServerFailed"))
    assert "Build of instance aborted" in world.message("Ready")
    world.cloud.build_fault = None
    drive(world, lambda: world.ready)
    assert len(world.servers) == 2 and len(world.cloud.floating_ips) == 1


def test_unknown_swarm_view_destroys_nothing() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 3}]})
    drive(world, lambda: world.ready)
    world.faults.errors["swarm.view"] = ExternalError(ErrorKind.UNREACHABLE, "docker", "no answer")
    world.kill(world.server("demo-web-2").id)
    world.scale(0)
    for _ in range(30):
        world.tick()
        world.controller().reconcile(KEY)
        world.clock.advance(30)
    assert len(world.servers) == 4 and world.cloud.created_servers == 4
    assert world.condition("ManagersQuorate") == ("Unknown", "ManagerUnreachable")
    del world.faults.errors["swarm.view"]
    drive(world, lambda: world.ready)
    assert world.servers == ["demo-manager-0"]


def test_clocks_start_anew_after_blindness() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": 2}]})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.kill(world.server("demo-web-1").id, hopeless=True)
    world.clock.advance(20)
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "NodesDown"), controller)
    world.faults.errors["swarm.view"] = ExternalError(ErrorKind.UNREACHABLE, "docker", "no answer")
    for _ in range(5):
        controller.reconcile(KEY)
        world.clock.advance(60)
    del world.faults.errors["swarm.view"]
    controller.reconcile(KEY)
    world.clock.advance(30)
    controller.reconcile(KEY)
    assert "demo-web-1" in world.servers, "the grace starts again when the swarm is seen again"
    assert not any(c.startswith("cloud.reboot") for c in world.faults.calls)
    drive(world, lambda: "demo-web-1-2" in world.servers and world.ready, controller)


def test_lost_credentials_block_deletion_and_say_so() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.faults.errors["cloud.check_credentials"] = failing(ErrorKind.UNAUTHORIZED, "credentials refused")
    world.delete()
    outcome = world.controller().reconcile(KEY)
    assert isinstance(outcome, Retry) and outcome.minimum == 30
    assert world.condition("DeletionBlocked") == ("True", "AuthenticationFailed")
    assert world.message("DeletionBlocked").startswith("credentials refused; ") and "swarmops.io/abandon=true" in world.message("DeletionBlocked")
    assert world.resource is not None
    world.faults.errors.clear()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == []


def test_delete_that_fails_is_said() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.faults.errors["cloud.delete_server"] = failing(ErrorKind.FORBIDDEN, "policy forbids delete")
    world.delete()
    assert isinstance(world.controller().reconcile(KEY), Retry)
    assert world.condition("DeletionBlocked") == ("True", "Forbidden")


def test_host_keys_must_be_on_the_console() -> None:
    world = World()
    world.cloud.console_output = lambda server_id: "nothing here"  # type: ignore[method-assign]
    drive(world, lambda: world.clock.monotonic() > 60)
    assert "host keys" in world.message("ManagersQuorate")
    assert not any(c.startswith("hosts.connect") for c in world.faults.calls)
    world.edit(ssh={"hostKeyPolicy": "TrustOnFirstUse"})
    drive(world, lambda: world.ready)


def test_lost_tls_secret_is_made_anew() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    del world.objects.secrets[("default", "demo-docker-tls")]
    controller.reconcile(KEY)
    drive(world, lambda: world.ready, controller)
    assert ("default", "demo-docker-tls") in world.objects.secrets
    assert world.cloud.created_servers == 2


def test_second_server_of_a_machine_goes() -> None:
    world = World()
    drive(world, lambda: world.ready)
    first = world.server("demo-web-0")
    world.clock.advance(60)
    world.cloud.create_server(replace(first.request, port_id=None))
    drive(world, lambda: len(world.servers) == 2)
    assert first.id in world.cloud.servers and first.deleted_at is None


def test_what_is_not_ours_is_left_alone() -> None:
    world = World()
    drive(world, lambda: world.ready)
    foreign = world.cloud.create_server(replace(world.server("demo-web-0").request, port_id=None, metadata={"swarmops-cluster-uid": "another"}))
    group = world.cloud.create_security_group("swarm-demo-0b5d7f4e", "made by hand")
    world.scale(0)
    drive(world, lambda: world.ready)
    world.delete()
    with pytest.raises(AssertionError, match="not reached"):
        # The network is still used by the foreign server: blocked, and said.
        drive(world, lambda: world.resource is None, limit=20)
    assert world.condition("DeletionBlocked")[0] == "True" and foreign in world.message("DeletionBlocked")
    assert foreign in world.cloud.servers and group in world.cloud.groups


def test_worker_of_an_old_swarm_leaves_it_first() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: "demo-web-0" in world.servers, controller)
    guest = world.guests[world.server("demo-web-0").id]
    guest.swarm, guest.node_id = SimSwarm("old"), "node-old"
    drive(world, lambda: world.ready, controller)
    assert guest.swarm is world.swarm


def test_floating_ip_taken_away_is_given_back() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    (fip,) = world.cloud.floating_ips.values()
    world.cloud.floating_ips[fip.id] = replace(fip, port_id=None)
    world.clock.advance(400)
    controller.reconcile(KEY)
    drive(world, lambda: world.ready, controller)
    assert world.cloud.floating_ips[fip.id].port_id is not None and len(world.cloud.floating_ips) == 1


def test_invalid_spec_is_stalled_with_the_field() -> None:
    world = World({"workerPools": [{"name": "web", "replicas": -1}]})
    assert isinstance(world.controller().reconcile(KEY), Retry)
    assert world.condition("Stalled") == ("True", "InvalidSpec") and "workerPools[0].replicas" in world.message("Ready")


def test_what_admission_can_not_check_is_stalled_with_the_field() -> None:
    world = World({"swarm": {"defaultAddrPools": ["10.0.0.0/8"]}})
    assert isinstance(world.controller().reconcile(KEY), Retry)
    assert world.condition("Stalled") == ("True", "InvalidSpec") and "spec.swarm.defaultAddrPools" in world.message("Ready")
    assert world.cloud.servers == {}


def test_user_data_that_cloud_init_would_refuse_makes_and_replaces_nothing() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    servers, writes = dict(world.cloud.servers), world.cloud.writes
    machine = {
        **world.resource.spec["machine"],
        "flavor": {"name": "another"},
        "userData": {"inline": "#cloud-config\nwrite_files: [{path: /a, permissions: rw}]\n"},
    }
    world.edit(machine=machine, workerPools=[{"name": "web", "replicas": 3}])
    for _ in range(5):
        assert isinstance(controller.reconcile(KEY), Retry)
        world.clock.advance(60)
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "spec.machine.userData.inline: write_files[0].permissions: must be an octal number" in world.message("Ready")
    assert dict(world.cloud.servers) == servers and world.cloud.writes == writes


def test_user_data_of_a_secret_is_told_when_a_server_is_to_be_made_and_costs_no_server() -> None:
    world = World()
    machine = {**world.resource.spec["machine"], "userData": {"secretRef": {"name": "additions"}}}
    world.objects.secrets[("default", "additions")] = ("", {"userData": b"#cloud-config\npackages: [htop]\n"})
    world.edit(machine=machine)
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    servers = set(world.cloud.servers)
    world.objects.secrets[("default", "additions")] = ("", {"userData": b"#cloud-config\nchpasswd: {users: [{name: a, password: [hunter2]}]}\n"})
    world.edit(machine={**machine, "flavor": {"name": "another"}})
    drive(world, lambda: world.condition("MembersUpToDate") == ("False", "InvalidSpec"), controller)
    for _ in range(10):
        world.clock.advance(60)
        world.tick()
        controller.reconcile(KEY)
    message = world.message("MembersUpToDate")
    assert (
        "userData.secretRef: Secret 'additions': chpasswd.users[0].password: must be a string or a number, not a list" in message and "hunter2" not in message
    )
    assert set(world.cloud.servers) == servers


def test_foreign_secret_of_our_name_is_a_name_conflict() -> None:
    world = World()
    world.faults.errors["kubernetes.ensure_secret"] = ExternalError(
        ErrorKind.CONFLICT, "kubernetes", "Secret demo-ssh is not ours", reason=Reason.NAME_CONFLICT
    )
    assert isinstance(world.controller().reconcile(KEY), Retry)
    assert world.condition("InfrastructureReady") == ("False", "NameConflict") == world.condition("Ready")
    assert world.condition("Stalled") == ("True", "NameConflict")


def test_the_swarm_is_seen_while_openstack_is_away() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.faults.errors["cloud.check_credentials"] = failing(ErrorKind.UNREACHABLE, "Keystone does not answer")
    assert isinstance(controller.reconcile(KEY), Retry)
    assert world.condition("ManagersQuorate") == ("True", "Quorum")
    assert world.condition("Ready") == ("Unknown", "CloudUnreachable")
    assert {n.phase for n in world.status.nodes} == {"Ready"}
    writes = world.external_writes()
    for _ in range(5):
        world.clock.advance(60)
        controller.reconcile(KEY)
    assert world.external_writes() == writes


def test_kubernetes_away_is_a_retry() -> None:
    world = World()
    world.faults.errors["kubernetes.apply_status"] = ExternalError(ErrorKind.UNREACHABLE, "kubernetes", "no answer")
    assert isinstance(world.controller().reconcile(KEY), Retry)
    assert len(world.cloud.networks) <= 1
    del world.faults.errors["kubernetes.apply_status"]
    drive(world, lambda: world.ready)
    assert world.cloud.created_servers == 2 and len(world.cloud.networks) == 1


def test_guests_are_asked_by_several_threads() -> None:
    from swarm_operator.controllers.cluster import ClusterController

    world = World({"workerPools": [{"name": "web", "replicas": 6}]})
    threaded = world.controller()
    assert isinstance(threaded, ClusterController)
    threaded._threads = 4
    drive(world, lambda: world.ready, threaded)
    assert len(world.swarm.nodes) == 7


def test_one_pool_with_an_unknown_flavor_does_not_hold_up_the_others() -> None:
    pools = [{"name": "web", "replicas": 1}, {"name": "big", "replicas": 1, "machine": {"flavor": {"name": "huge"}}}]
    world = World({"workerPools": pools})
    world.cloud.missing.add("huge")
    controller = world.controller()
    drive(world, lambda: world.status.workers.ready == 1 if world.resource and world.resource.status else False, controller)
    assert world.clock.monotonic() < 40
    assert world.condition("Ready") == ("False", "ReferenceNotFound") and "huge" in world.message("Ready")
    world.cloud.missing.clear()
    drive(world, lambda: world.ready, controller)
    assert world.servers == ["demo-big-0", "demo-manager-0", "demo-web-0"]


def test_events_do_not_repeat_a_refused_create_early() -> None:
    world = World()
    world.faults.errors["cloud.create_server"] = failing(ErrorKind.QUOTA, "Quota exceeded for cores")
    controller = world.controller()
    controller.reconcile(KEY)  # the ports
    for _ in range(10):
        controller.reconcile(KEY)
        world.clock.advance(2)
        assert world.condition("Ready") == ("False", "QuotaExceeded")
    assert world.faults.calls.count("cloud.create_server") == 1, "the first refusal holds the rest of the batch and the next 30 s"


def test_failures_are_counted_by_reason_and_faults_of_servers_once() -> None:
    world = World()
    met: list[tuple[str, str]] = []
    controller = world.controller(observe_failure=lambda system, reason: met.append((system, reason)))
    drive(world, lambda: world.ready, controller)
    assert met == []
    world.faults.errors["cloud.list_servers"] = failing(ErrorKind.TRANSIENT)
    controller.reconcile(KEY)
    assert met == [("openstack", "CloudUnreachable")]
    world.faults.errors.clear()
    met.clear()
    world.cloud.build_fault = "Maximum number of ports reached (413)"
    world.scale(2)
    drive(world, lambda: world.condition("Ready") == ("False", "QuotaExceeded"), controller)
    controller.reconcile(KEY)
    assert met == [("openstack", "QuotaExceeded")] and "Maximum number of ports" in world.message("Ready")


def test_each_class_of_failure_has_its_longest_delay() -> None:
    world = World()
    for error, most in ((failing(ErrorKind.CONFLICT), 15.0), (failing(ErrorKind.QUOTA), 300.0), (failing(ErrorKind.TRANSIENT), 120.0)):
        world.faults.errors["cloud.create_network"] = error
        outcome = world.controller().reconcile(KEY)
        assert isinstance(outcome, Retry) and outcome.maximum == most
