"""The credentials over the life of a cluster: warned of before they end, held while cleanup needs them, and what can be done once they are lost."""

from __future__ import annotations

from dataclasses import replace

from simulator import World, deaths, drive
from simulator.world import KEY, SPEC
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cloud import CredentialExpiry
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.outcome import Done
from swarm_operator.ports.objects import Key, Resource

SECRET = ("default", "cloud")


def test_the_end_of_an_application_credential_is_told_before_at_and_after_it() -> None:
    world = World({"identityRef": {"secretName": "cloud", "expiryWarningDays": 10}})
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    assert world.condition("CredentialsExpiring") == ("False", "AsExpected")
    assert world.status.credentials.kind == "ApplicationCredential" and world.status.credentials.expires_at is None
    world.cloud.expiry = CredentialExpiry("ApplicationCredential", "app-2", "2026-01-12T00:00:00.000000")
    controller.reconcile(KEY)
    assert world.condition("CredentialsExpiring") == ("False", "AsExpected")
    world.clock.advance(86400 + 1)
    world.objects.resources[KEY] = replace(world.objects.resources[KEY])
    controller.reconcile(KEY)
    assert world.condition("CredentialsExpiring") == ("True", "CredentialsExpiring")
    said = world.message("CredentialsExpiring")
    assert "app-2 expires at 2026-01-12T00:00:00Z" in said and "'cloud'" in said
    assert world.condition("Ready")[0] == "True", "it is a warning"
    world.clock.advance(3600)
    controller.reconcile(KEY)
    assert world.message("CredentialsExpiring") == said, "the message does not count down"
    world.clock.advance(11 * 86400)
    world.faults.errors["cloud.check_credentials"] = ExternalError(ErrorKind.UNAUTHORIZED, "openstack", "Keystone refused the credentials")
    controller.reconcile(KEY)
    assert world.condition("CredentialsValid") == ("False", "AuthenticationFailed")
    assert world.condition("CredentialsExpiring") == ("True", "CredentialsExpired"), "why they are refused is known from before"
    world.faults.errors.clear()
    world.cloud.expiry = CredentialExpiry("ApplicationCredential", "app-3", "2027-01-01T00:00:00")
    drive(world, lambda: world.ready, controller)
    assert world.condition("CredentialsExpiring") == ("False", "AsExpected")


def test_a_keystone_that_does_not_tell_is_none_to_fail_on() -> None:
    world = World()
    world.cloud.expiry = ExternalError(ErrorKind.FORBIDDEN, "openstack", "not for you")
    drive(world, lambda: world.ready)
    assert world.condition("CredentialsExpiring") == ("Unknown", "Forbidden")


def test_the_secret_is_held_before_anything_is_made_and_let_go_at_the_end() -> None:
    world = World()
    world.faults.errors["cloud.create_network"] = ExternalError(ErrorKind.QUOTA, "openstack", "full")
    world.controller().reconcile(KEY)
    assert SECRET in world.objects.held
    world.faults.errors.clear()
    drive(world, lambda: world.ready)
    world.objects.delete_secret(*SECRET)  # as the deletion of the namespace does
    world.delete()
    drive(world, lambda: world.resource is None)
    assert world.cloud.leftovers() == [] and SECRET not in world.objects.secrets


def test_a_secret_that_others_use_stays_held() -> None:
    world = World()
    other = Resource(Key("SwarmCluster", "default", "other"), "other-uid", 1, "0", dict(SPEC), {})
    world.objects.resources[other.key] = other
    drive(world, lambda: world.ready)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert SECRET in world.objects.held


def test_another_secret_takes_the_place_of_the_first_once_it_is_proved() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.edit(identityRef={"secretName": "cloud-2"})
    controller.reconcile(KEY)
    assert SECRET in world.objects.held, "the new one is not there yet"
    world.objects.secrets[("default", "cloud-2")] = ("user", {"clouds.yaml": b"clouds: {}"})
    drive(world, lambda: world.ready, controller)
    controller.reconcile(KEY)
    assert world.objects.held == {("default", "cloud-2")} and world.status.credentials.secret_name == "cloud-2"


def test_a_secret_without_the_finalizer_is_held_again() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.objects.held.clear()  # kubectl replace
    controller.reconcile(KEY)
    assert SECRET in world.objects.held


def test_a_crash_between_the_secret_and_the_finalizer_leaves_neither() -> None:
    """The Secret goes the moment it is let go: what is left to do then needs no cloud."""
    world = World()
    drive(world, lambda: world.ready)
    world.objects.delete_secret(*SECRET)
    world.delete()
    found = deaths(world, lambda world: drive(world, lambda: world.resource is None), of=["hold_secret", "set_finalizer"])
    assert {(death.call, death.when) for death, _ in found} >= {("kubernetes.hold_secret", "after"), ("kubernetes.set_finalizer", "after")}
    for death, crashed in found:
        drive(crashed, lambda crashed=crashed: crashed.resource is None)
        assert crashed.cloud.leftovers() == [] and SECRET not in crashed.objects.secrets, death


def lost(world: World) -> None:
    world.faults.errors["cloud.check_credentials"] = ExternalError(ErrorKind.UNAUTHORIZED, "openstack", "Keystone refused the credentials")


def test_a_deletion_shows_its_stages_and_what_is_left() -> None:
    world = World()
    drive(world, lambda: world.ready)
    assert world.status.deletion is None
    world.delete()
    seen: list[str] = []
    controller = world.controller()
    for _ in range(100):
        world.tick()
        if world.resource is None:
            break
        controller.reconcile(KEY)
        if world.resource is not None and world.status.deletion is not None:
            deletion = world.status.deletion
            assert deletion.count == len(deletion.remaining)
            kinds = {r.kind for r in deletion.remaining}
            assert ("server" in kinds) == (deletion.stage == "Servers")
            if not seen or seen[-1] != deletion.stage:
                seen.append(deletion.stage)
        world.clock.advance(2)
    assert seen[:2] == ["Servers", "Infrastructure"] and world.resource is None


def test_lost_credentials_name_what_is_left_and_the_way_out() -> None:
    world = World()
    drive(world, lambda: world.ready)
    lost(world)
    world.delete()
    controller = world.controller()
    controller.reconcile(KEY)
    assert world.condition("DeletionBlocked") == ("True", "AuthenticationFailed") and world.condition("Stalled")[0] == "True"
    deletion = world.status.deletion
    assert deletion is not None and deletion.stage == "Servers"
    servers = {s.id for s in world.cloud.servers.values()}
    assert {r.id for r in deletion.remaining if r.kind == "server"} == servers, "from status: nothing can be looked at"
    world.annotate({"swarmops.io/abandon": "yes"})
    controller.reconcile(KEY)
    assert world.resource is not None, "only the word true counts"
    world.annotate({"swarmops.io/abandon": "true"})
    assert controller.reconcile(KEY) == Done()
    assert world.resource is None and world.objects.held == set()
    said = " ".join(text for reason, text in world.objects.events if reason is Reason.ABANDONED)
    assert all(server in said for server in servers) and "key-pair" in said
    assert set(world.cloud.servers) == servers and all(s.deleted_at is None for s in world.cloud.servers.values()), "nothing is touched"


def test_abandoning_a_cluster_that_is_not_being_deleted_does_nothing() -> None:
    world = World()
    controller = world.controller()
    drive(world, lambda: world.ready, controller)
    world.annotate({"swarmops.io/abandon": "true"})
    controller.reconcile(KEY)
    assert world.ready and world.resource is not None and world.resource.finalizers


def test_a_cluster_whose_spec_can_not_be_read_can_be_abandoned() -> None:
    world = World()
    drive(world, lambda: world.ready)
    world.edit(machine=None)
    world.delete()
    controller = world.controller()
    controller.reconcile(KEY)
    assert world.condition("DeletionBlocked") == ("True", "InvalidSpec")
    world.annotate({"swarmops.io/abandon": "true"})
    controller.reconcile(KEY)
    assert world.resource is None and world.objects.held == set()
    assert any(reason is Reason.ABANDONED and "server-" in text for reason, text in world.objects.events)


def test_retain_says_what_stays() -> None:
    world = World({"deletionPolicy": "Retain"})
    drive(world, lambda: world.ready)
    world.delete()
    drive(world, lambda: world.resource is None)
    assert len(world.cloud.servers) == 2 and world.objects.held == set()
    said = " ".join(text for reason, text in world.objects.events if reason is Reason.RETAINED)
    assert all(server in said for server in world.cloud.servers)
