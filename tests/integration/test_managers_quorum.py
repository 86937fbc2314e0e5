"""Managers on the lab: one becomes three, each of the three is lost in turn, the leader last; then another one, whose place a spare worker takes; and three become one again.

All the while a service of two replicas runs on the worker and must not notice, and a watch asks the managers themselves: more than half of the members must be reachable, always,
and a swarm without a leader, which refuses to say anything of its members, may be so for an election and no longer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests.exceptions
import urllib3.exceptions
from docker import errors as docker_errors

from harness.cloud import CloudView, DockerView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from harness.watch import Answer, Asked, Watch, gaps, now, too_long
from integration.conftest import cluster_manifest, service_manifest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
NAME = "three"
ELECTION = 10.0
"""Seconds: the engine's election tick is 10 heartbeat ticks of 1 s (swarmkit `manager/state/raft/raft.go`, DefaultNodeConfig). A follower that has not
heard of a leader for so long, up to twice that, stands for election; from then on it refuses. Before, and while a lost leader is asked on our behalf, it is silent."""
SLACK = 10.0
"""A vote that is split is repeated."""
SILENCE = 30.0
"""Seconds for which nobody may say a word, beyond that: followers that wait for a lost leader, on a loaded machine. On the lab 16 s passed between the answers around the loss of the leader, none in all else."""


class Managers:
    """The managers, asked with the user's certificate: whichever answers."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._secret = kubectl.secret_data(f"{NAME}-docker-tls")

    def records(self) -> dict[str, dict[str, Any]]:
        return {n["name"]: n for n in self._kubectl.get("swarmcluster", NAME)["status"]["nodes"] if n["role"] == "Manager"}

    def addresses(self) -> list[str]:
        """Of all managers that have one; what the operator takes for down comes last."""
        records = sorted(self.records().values(), key=lambda r: r["phase"] == "Down")
        return [str(r["floatingIP"]) for r in records if "floatingIP" in r]

    def view(self, address: str) -> DockerView:
        docker = DockerView(f"tcp://{address}:2376", self._secret)
        docker.api.timeout = 5
        return docker

    def ask(self, call: Any) -> Any:
        """The answer of the first manager that gives one; AssertionError where none does."""
        failure: Exception | None = None
        for record in self.records().values():
            if "floatingIP" not in record or record["phase"] == "Down":
                continue
            docker = self.view(record["floatingIP"])
            try:
                return call(docker)
            except Exception as error:  # whatever a dead or leaderless manager does to a client
                failure = error
            finally:
                docker.close()
        raise AssertionError(f"no manager answers: {failure}")

    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(lambda docker: docker.nodes())
        return found

    def members(self) -> dict[str, str]:
        """Reachability by host name."""
        return {n["Description"]["Hostname"]: n["ManagerStatus"]["Reachability"] for n in self.nodes() if n.get("ManagerStatus")}

    def leader(self) -> str:
        return str(next(n["Description"]["Hostname"] for n in self.nodes() if (n.get("ManagerStatus") or {}).get("Leader")))

    def tasks(self) -> set[str]:
        """Ids of the service's running tasks."""
        tasks = self.ask(lambda docker: docker.api.tasks(filters={"service": "calm"}))
        return {t["ID"] for t in tasks if t["Status"]["State"] == "running"}


class Majority:
    """Asks for the members about once a second; `bad` has each answer that shows less than a majority."""

    def __init__(self, managers: Managers) -> None:
        self._managers = managers
        self._addresses: list[str] = []
        self.bad: list[dict[str, str]] = []

    def look(self) -> Asked:
        """One question, to one manager after the other until one answers; first to who answered last."""
        current = self._managers.addresses()
        addresses = [a for a in self._addresses if a in current] + [a for a in current if a not in self._addresses]
        began, said, silence = now(), "", "nobody to ask"
        for address in addresses:
            docker = self._managers.view(address)
            try:
                nodes = docker.nodes()
            except docker_errors.APIError as error:
                said = str(error.explanation)
            except (docker_errors.DockerException, requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                silence = type(error).__name__
            else:
                self._addresses = [address, *(a for a in addresses if a != address)]
                members = {n["Description"]["Hostname"]: n["ManagerStatus"]["Reachability"] for n in nodes if n.get("ManagerStatus")}
                if sum(r == "reachable" for r in members.values()) * 2 <= len(members):
                    self.bad.append(members)
                return Asked(began, now(), Answer.GIVEN)
            finally:
                docker.close()
        return Asked(began, now(), Answer.REFUSED if said else Answer.SILENT, said or silence)


@contextlib.contextmanager
def quorate(managers: Managers, what: str, *, refused: float = ELECTION) -> Iterator[None]:
    """While the body runs, more than half of the members are reachable, and no leader is missing for longer than `refused` seconds."""
    majority, began = Majority(managers), now()
    with Watch(majority.look, every=1.0, fewest=5) as watch:
        yield
    given = [a for a in watch.seen if a.answer is Answer.GIVEN]
    found, seconds = gaps(watch.seen), now() - began
    print(f"{what}: {seconds:.0f} s, {len(watch.seen)} looks, {len(given)} answers, without: {found}")
    assert majority.bad == [], what
    assert not too_long(watch.seen, refused=refused, whole=refused + SILENCE), f"{what}: {found}"
    # A look takes a second and what the managers take. With fewer answers than one in five seconds the watch has seen too little to be believed.
    assert len(given) * 5 >= seconds - SILENCE, f"{what}: {len(given)} answers in {seconds:.0f} s"


@pytest.fixture
def managers(kubectl: Kubectl, operator: Operator, cloud: CloudView) -> Iterator[Managers]:
    """A cluster of one manager, which takes no tasks, one worker, and a pool for spares."""
    manifest = cluster_manifest(NAME, workers=1, managers={"replicas": 1, "schedulable": False, "promoteFrom": "spare"}, remediation={"rungSeconds": 60})
    manifest["spec"]["workerPools"].append({"name": "spare", "replicas": 0, "nodeLabels": {"tier": "spare"}})
    kubectl.apply(manifest)
    kubectl.wait("swarmcluster", NAME, timeout=300)
    uid = str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"])
    yield Managers(kubectl)
    kubectl("delete", "swarmservice", "calm", "--ignore-not-found", "--timeout=60s", timeout=80)
    kubectl("delete", "swarmcluster", NAME, "--timeout=180s", timeout=200)
    assert cloud.leftovers(uid) == []


def scale(kubectl: Kubectl, replicas: int) -> None:
    kubectl.patch("swarmcluster", NAME, {"spec": {"managers": {"replicas": replicas}}})


def whole(managers: Managers, replicas: int) -> bool:
    return list(managers.members().values()) == ["reachable"] * replicas


def a_spare_takes_the_place_of_a_lost_manager(kubectl: Kubectl, managers: Managers, cloud: CloudView) -> None:
    """The slot's floating IP leads to it, over TLS; no server is booted for a manager, and the pool has its worker again."""
    pools = [{"name": "workers", "replicas": 1}, {"name": "spare", "replicas": 1, "nodeLabels": {"tier": "spare"}}]
    kubectl.patch("swarmcluster", NAME, {"spec": {"workerPools": pools}})
    eventually(lambda: kubectl.get("swarmcluster", NAME)["status"]["workers"].get("summary") == "2/2", within=150, what="a spare worker")
    kubectl.wait("swarmcluster", NAME, timeout=60)
    first, leader = managers.records(), managers.leader()
    victim = min(set(first) - {leader})
    address, spare = first[victim]["floatingIP"], f"{NAME}-spare-0"
    cloud.connection.compute.delete_server(first[victim]["serverID"])
    eventually(lambda: spare in managers.members() and whole(managers, 3), within=150, every=1, what="the spare is the third manager")
    assert victim not in managers.members()
    made = {str(s.name) for s in cloud.servers(str(kubectl.get("swarmcluster", NAME)["metadata"]["uid"]))}
    assert not {n for n in made if "-manager-" in n} - set(first), "no server was booted for a manager"
    kubectl.wait("swarmcluster", NAME, timeout=180)
    record = managers.records()[spare]
    assert record["floatingIP"] == address and record["promotedFrom"]["pool"] == "spare"
    assert kubectl.get("swarmcluster", NAME)["status"]["workers"]["summary"] == "2/2"
    eventually(lambda: "engineCertificateExpires" in managers.records()[spare], within=60, what="its Docker API is set up")
    docker = DockerView(f"tcp://{address}:2376", kubectl.secret_data(f"{NAME}-docker-tls"))
    assert docker.api.info()["Name"] == spare
    docker.close()
    eventually(lambda: whole(managers, 3), within=60, every=1, what="it is back after the restart of its engine")


def test_each_manager_is_lost_in_turn_and_the_service_does_not_notice(kubectl: Kubectl, managers: Managers, cloud: CloudView, lab: Any) -> None:
    kubectl.apply(service_manifest("calm", NAME, replicas=2, placement={"constraints": ["node.labels.tier != spare"]}))
    kubectl.wait("swarmservice", "calm", timeout=60)
    before = managers.tasks()
    assert len(before) == 2
    swarm_id = kubectl.get("swarmcluster", NAME)["status"]["swarmID"]

    with quorate(managers, "one becomes three"):
        scale(kubectl, 3)
        eventually(lambda: whole(managers, 3), within=120, every=2, what="one manager has become three")
        kubectl.wait("swarmcluster", NAME, timeout=60)
    first = managers.records()
    leader = managers.leader()
    killed, deleted = sorted(set(first) - {leader})

    # A follower's host dies and Nova is not told: a hard reboot brings the same server back.
    with quorate(managers, "a follower's host dies"):
        lab("break", "kill-host", killed)
        eventually(lambda: managers.records()[killed]["phase"] == "Down", within=60, what="the operator sees it")
        assert condition(kubectl.get("swarmcluster", NAME), "ManagersQuorate")["status"] == "True"
        eventually(lambda: whole(managers, 3), within=120, every=2, what="three managers again after a killed host")
    again = managers.records()[killed]
    assert again["serverID"] == first[killed]["serverID"] and again["remediation"]["rung"] == "HardReboot"

    # A follower's server is gone for good, then the leader's: the successor is booted, the dead member demoted, the successor joined.
    for victim in (deleted, leader):
        kubectl.wait("swarmcluster", NAME, timeout=60)
        if victim == leader:
            assert managers.leader() == leader
        with quorate(managers, f"{victim} is lost", refused=ELECTION + SLACK if victim == leader else ELECTION):
            cloud.connection.compute.delete_server(first[victim]["serverID"])
            eventually(lambda victim=victim: f"{victim}-2" in managers.records(), within=90, what=f"a successor of {victim}")
            eventually(lambda victim=victim: f"{victim}-2" in managers.members() and whole(managers, 3), within=120, every=2, what="three managers again")
            kubectl.wait("swarmcluster", NAME, timeout=60)
        assert victim not in managers.members()
    assert managers.tasks() == before, "the service's tasks are the same"

    with quorate(managers, "a spare takes the place of a lost manager"):
        a_spare_takes_the_place_of_a_lost_manager(kubectl, managers, cloud)
    assert managers.tasks() == before, "the service's tasks are the same"

    with quorate(managers, "three become one"):
        scale(kubectl, 1)
        eventually(lambda: len(managers.members()) == 1 and len(managers.records()) == 1, within=150, every=2, what="three managers have become one")
        kubectl.wait("swarmcluster", NAME, timeout=60)
    assert managers.tasks() == before, "the service's tasks are still the same"
    assert kubectl.get("swarmcluster", NAME)["status"]["swarmID"] == swarm_id
