"""What `docker service create` makes and what our manifest makes of the same wishes, on one real engine; and that each field reads back equal and is put back when changed.

For every flag one service comes from the real Docker CLI and one from a manifest through our render and adapter; their specs, as `service inspect` gives them, must be
equal but for the differences that JUSTIFIED lists. All services have no replicas, so no image is needed.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from integration.private_engine import ENGINES, PrivateEngine, engine_of, swarm_of
from swarm_operator.adapters.docker import DockerSwarm
from swarm_operator.adapters.docker.transport import Transport
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.service.compare import compare, creation, patch
from swarm_operator.domain.service.convergence import Convergence, measure
from swarm_operator.domain.service.gating import parse_version, unsupported
from swarm_operator.domain.service.leaves import LEAVES
from swarm_operator.domain.service.live import parse
from swarm_operator.domain.service.render import Desired, Owner, render

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")

OWNER = Owner("uid-1", "default", "ours")


class Case(NamedTuple):
    """A flag as the CLI takes it, and the manifest's fields. `prepared`: names of the manifest's networks."""

    flags: str
    manifest: dict[str, Any]
    command: str = ""


CASES = [
    Case("", {}),
    Case("", {"args": ["sleep", "9"]}, "sleep 9"),
    Case("--entrypoint /bin/x", {"command": ["/bin/x"]}),
    Case("--label a=b", {"labels": {"a": "b"}}),
    Case("--container-label a=b", {"containerLabels": {"a": "b"}}),
    Case("--env A=1 --env B=x=y", {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "x=y"}]}),
    Case("--workdir /srv", {"workingDir": "/srv"}),
    Case("--user 1:2", {"user": "1:2"}),
    Case("--group a --group b", {"groups": ["b", "a"]}),
    Case("--hostname h-{{.Task.Slot}}", {"hostname": "h-{{.Task.Slot}}"}),
    Case("--host db:10.0.0.1 --host db6:::1", {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}, {"ip": "::1", "hostnames": ["db6"]}]}),
    Case("--init", {"init": True}),
    Case("--tty", {"tty": True}),
    Case("--read-only", {"readOnly": True}),
    Case("--stop-signal SIGINT", {"stopSignal": "SIGINT"}),
    Case("--stop-grace-period 7s", {"stopGracePeriodSeconds": 7}),
    Case("--cap-add net_admin --cap-drop CAP_CHOWN", {"capabilities": {"add": ["NET_ADMIN"], "drop": ["CAP_CHOWN"]}}),
    Case("--sysctl net.core.somaxconn=1024", {"sysctls": {"net.core.somaxconn": "1024"}}),
    Case("--ulimit nofile=10:20 --ulimit nproc=5:5", {"ulimits": [{"name": "nproc", "soft": 5, "hard": 5}, {"name": "nofile", "soft": 10, "hard": 20}]}),
    Case("--isolation process", {"isolation": "process"}),
    Case("--credential-spec file://x.json", {"privileges": {"credentialSpec": {"file": "x.json"}}}),
    Case("--credential-spec registry://x", {"privileges": {"credentialSpec": {"registry": "x"}}}),
    Case(
        "--mount type=bind,source=/s,target=/t,readonly,bind-propagation=rshared,bind-nonrecursive=true",
        {"mounts": [{"type": "bind", "source": "/s", "target": "/t", "readOnly": True, "bindOptions": {"propagation": "rshared", "nonRecursive": True}}]},
    ),
    Case(
        "--mount type=volume,source=v,target=/v,volume-nocopy,volume-label=a=b,volume-driver=local,volume-opt=type=nfs",
        {
            "mounts": [
                {"source": "v", "target": "/v", "volumeOptions": {"noCopy": True, "labels": {"a": "b"}, "driver": "local", "driverOpts": {"type": "nfs"}}},
            ]
        },
    ),
    Case(
        "--mount type=tmpfs,target=/m,tmpfs-size=1m,tmpfs-mode=1777",
        {"mounts": [{"type": "tmpfs", "target": "/m", "tmpfsOptions": {"size": "1Mi", "mode": 0o1777}}]},
    ),
    Case("--mount type=npipe,source=/p,target=/p", {"mounts": [{"type": "npipe", "source": "/p", "target": "/p"}]}),
    Case(
        "--dns 192.0.2.1 --dns-search a.example --dns-option ndots:2",
        {"dnsConfig": {"nameservers": ["192.0.2.1"], "searches": ["a.example"], "options": ["ndots:2"]}},
    ),
    Case(
        "--health-cmd true --health-interval 2s --health-timeout 3s --health-retries 4 --health-start-period 5s",
        {"healthcheck": {"test": ["CMD-SHELL", "true"], "intervalSeconds": 2, "timeoutSeconds": 3, "retries": 4, "startPeriodSeconds": 5}},
    ),
    Case("--no-healthcheck", {"healthcheck": {"disable": True}}),
    Case("--limit-cpu 0.5 --limit-memory 64m --limit-pids 9", {"resources": {"limits": {"cpu": "500m", "memory": "64Mi", "pids": 9}}}),
    Case(
        "--reserve-cpu 0.25 --reserve-memory 8m --generic-resource gpu=2",
        {"resources": {"reservations": {"cpu": "0.25", "memory": "8Mi", "genericResources": [{"kind": "gpu", "value": 2}]}}},
    ),
    Case("--log-driver json-file --log-opt max-size=1m", {"logDriver": {"name": "json-file", "options": {"max-size": "1m"}}}),
    Case("--constraint node.role==worker", {"placement": {"constraints": ["node.role==worker"]}}),
    Case("--placement-pref spread=node.labels.z", {"placement": {"preferences": [{"spread": "node.labels.z"}]}}),
    Case("--replicas-max-per-node 2", {"placement": {"maxReplicas": 2}}),
    Case("--network name=blue,alias=x,driver-opt=a=b", {"networks": [{"name": "blue", "aliases": ["x"], "driverOpts": {"a": "b"}}]}),
    Case(
        "--publish published=80,target=81,mode=host,protocol=udp",
        {"ports": [{"targetPort": 81, "publishedPort": 80, "protocol": "udp", "publishMode": "host"}]},
    ),
    Case("--endpoint-mode dnsrr", {"endpointMode": "dnsrr"}),
    Case(
        "--restart-condition on-failure --restart-delay 1s --restart-max-attempts 2 --restart-window 3s",
        {"restartPolicy": {"condition": "on-failure", "delaySeconds": 1, "maxAttempts": 2, "windowSeconds": 3}},
    ),
    *(
        Case(
            f"--{kind}-parallelism 2 --{kind}-delay 1s --{kind}-monitor 3s --{kind}-failure-action continue --{kind}-max-failure-ratio 0.15 --{kind}-order start-first",
            {
                f"{kind}Config": {
                    "parallelism": 2,
                    "delaySeconds": 1,
                    "monitorSeconds": 3,
                    "failureAction": "continue",
                    "maxFailureRatio": 0.15,
                    "order": "start-first",
                }
            },
        )
        for kind in ("update", "rollback")
    ),
]

JUSTIFIED = {
    "Init": "the CLI writes false where nothing is asked for; we leave it to the engine's setting",
    "DNSConfig": "the CLI writes an empty struct",
    "Resources": "the CLI writes empty structs",
    "Placement": "the CLI writes an empty struct",
    "EndpointSpec": "the CLI writes the default mode vip",
    "Mounts.VolumeOptions": "the CLI's empty structs",
    "order": "lists whose order means nothing",
    "Labels": "our owner labels",
    "Capability": "the CLI writes CAP_X; the engine takes both",
}
"""Each difference that `equal` below leaves out, and why it is none for the engine."""

ONLY_OURS = {
    "stdin": {"stdin": True},
    "placement.platforms": {"placement": {"platforms": [{"os": "linux", "architecture": "amd64"}]}},
    "privileges.seLinuxContext": {"privileges": {"seLinuxContext": {"disable": True, "user": "u"}}},
}
"""Fields that no flag sets."""
GATED = {
    "oomScoreAdj": {"oomScoreAdj": 3},
    "privileges.seccomp": {"privileges": {"seccomp": {"mode": "unconfined"}}},
    "privileges.appArmor": {"privileges": {"appArmor": {"mode": "disabled"}}},
    "privileges.noNewPrivileges": {"privileges": {"noNewPrivileges": True}},
    "resources.memorySwap": {"resources": {"limits": {"memory": "8Mi"}, "memorySwap": "8Mi"}},
    "resources.memorySwappiness": {"resources": {"memorySwappiness": 1}},
}
"""Fields that engine 20.10 (API 1.41) can't carry."""
ELSEWHERE = {"configs", "secrets", "replicas", "job.completions", "job.maxConcurrent", "image"}
"""Leaves with tests of their own: see test_service_materials, test_docker_adapter and the jobs below; each case has an image and replicas."""


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[PrivateEngine]:
    with swarm_of(engine_of(request.param)) as engine:
        engine.docker("network", "create", "--driver", "overlay", "blue")
        yield engine


@pytest.fixture(scope="module")
def swarm(engine: PrivateEngine) -> Iterator[DockerSwarm]:
    opened = DockerSwarm(Transport([engine.endpoint], engine.tls))
    yield opened
    opened.close()


def desired_of(swarm: DockerSwarm, manifest: dict[str, Any]) -> Desired:
    base = {"clusterRef": {"name": "c"}, "image": "none:1", "replicas": 0}
    spec = SwarmServiceSpec.model_validate({**base, **manifest} if "mode" not in manifest else {**base, "replicas": None, **manifest})
    return render(spec, OWNER, {network.name: network.id for network in swarm.view().networks})


def inspect(swarm: DockerSwarm, service_id: str) -> dict[str, Any]:
    raw = swarm.inspect_service(service_id)
    assert raw is not None
    return raw


def edited(swarm: DockerSwarm, service_id: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """The spec after `change` was posted; tried again where the orchestrator's own write came between."""
    for _ in range(20):
        raw = inspect(swarm, service_id)
        try:
            swarm.update_service(service_id, raw["Version"]["Index"], change(raw["Spec"]))
        except ExternalError as error:
            assert error.kind is ErrorKind.CONFLICT, error
            time.sleep(0.1)
            continue
        spec: dict[str, Any] = inspect(swarm, service_id)["Spec"]
        return spec
    raise AssertionError("out of sequence again and again")


def stripped(value: Any) -> Any:
    """Without what is empty, with lists in one order: JUSTIFIED."""
    if isinstance(value, dict):
        kept = {key: stripped(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry not in ({}, [], None, False)}
    if isinstance(value, list):
        return sorted((stripped(entry) for entry in value), key=repr)
    return value


def equal(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    sides = []
    for spec in (copy.deepcopy(theirs), copy.deepcopy(ours)):
        del spec["Name"]
        spec["Labels"] = {key: value for key, value in spec["Labels"].items() if not key.startswith("io.swarmops.")}
        if spec.get("EndpointSpec", {}).get("Mode") == "vip":
            del spec["EndpointSpec"]["Mode"]
        container = spec["TaskTemplate"]["ContainerSpec"]
        for key in ("CapabilityAdd", "CapabilityDrop"):
            container[key] = [name if name.startswith("CAP_") else f"CAP_{name}" for name in container.get(key) or ()]
        sides.append(stripped(spec))
    assert sides[1] == sides[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.flags or case.command or "nothing")
def test_the_same_service_as_the_docker_cli_makes(engine: PrivateEngine, swarm: DockerSwarm, case: Case) -> None:
    engine.docker(
        "service",
        "create",
        "--quiet",
        "--detach",
        "--no-resolve-image",
        "--name",
        "theirs",
        "--replicas",
        "0",
        *case.flags.split(),
        "none:1",
        *case.command.split(),
    )
    desired = desired_of(swarm, case.manifest)
    ours = swarm.create_service(creation(desired))
    try:
        theirs = inspect(swarm, "theirs")["Spec"]
        mine = inspect(swarm, ours)["Spec"]
        equal(theirs, mine)
        # Both read back without a difference, and the CLI's service could be adopted without touching a task.
        assert compare(desired, mine).texts == []
        assert patch(desired, mine) == mine
        assert [change.name for change in compare(desired, theirs).changes] == ["labels"] * 2
    finally:
        swarm.remove_service(ours)
        engine.docker("service", "rm", "theirs")


def test_every_leaf_has_a_case(swarm: DockerSwarm) -> None:
    plain = desired_of(swarm, {}).leaves
    covered = {name for case in CASES for name, value in desired_of(swarm, case.manifest).leaves.items() if value != plain.get(name)}
    assert {leaf.name for leaf in LEAVES} == covered | {*ONLY_OURS, *GATED, *ELSEWHERE}


@pytest.mark.parametrize("name", ONLY_OURS)
def test_fields_without_a_flag_read_back(swarm: DockerSwarm, name: str) -> None:
    desired = desired_of(swarm, ONLY_OURS[name])
    ours = swarm.create_service(creation(desired))
    try:
        assert desired.leaves[name] is not None
        assert compare(desired, inspect(swarm, ours)["Spec"]).texts == []
    finally:
        swarm.remove_service(ours)


@pytest.mark.parametrize("name", GATED)
def test_what_this_engine_would_drop_is_gated(swarm: DockerSwarm, name: str) -> None:
    desired, version = desired_of(swarm, GATED[name]), swarm.view().engine_api_version
    leaf = next(leaf for leaf in LEAVES if leaf.name == name)
    ours = swarm.create_service(creation(desired))
    try:
        dropped = name in {change.name for change in compare(desired, inspect(swarm, ours)["Spec"]).changes}
        older = leaf.since is not None and (parse_version(version) or (0, 0)) < leaf.since
        assert dropped == older == (unsupported(desired, version) is not None)
    finally:
        swarm.remove_service(ours)


def settled(swarm: DockerSwarm, service: str) -> dict[str, Any]:
    """The service once its version has stood for a while: the engine writes too, for its update's state, and an update is of the version that was read."""
    before = inspect(swarm, service)
    while True:
        time.sleep(0.3)
        now = inspect(swarm, service)
        if now["Version"] == before["Version"]:
            return now
        before = now


def test_each_field_changed_behind_our_back_is_found_and_put_back(swarm: DockerSwarm) -> None:
    """Every field of every case, cleared on the live service one at a time; what is foreign to the manifest stays."""
    tried = 0
    for manifest in (*(case.manifest for case in CASES), *ONLY_OURS.values()):
        desired, plain = desired_of(swarm, manifest), desired_of(swarm, {})
        ours = swarm.create_service(creation(desired))
        try:
            for name in [name for name, value in desired.leaves.items() if value != plain.leaves.get(name)]:
                raw = settled(swarm, ours)
                cleared = Desired(desired.service_name, desired.mode, desired.labels, {name: plain.leaves.get(name)})
                changed = patch(cleared, raw["Spec"])
                changed["TaskTemplate"]["ForceUpdate"] = 1 + changed["TaskTemplate"].get("ForceUpdate", 0)
                swarm.update_service(ours, raw["Version"]["Index"], changed)
                drifted = settled(swarm, ours)
                assert [change.name for change in compare(desired, drifted["Spec"]).changes] == [name]
                swarm.update_service(ours, drifted["Version"]["Index"], patch(desired, drifted["Spec"]))
                restored = inspect(swarm, ours)["Spec"]
                assert compare(desired, restored).texts == []
                assert restored["TaskTemplate"]["ForceUpdate"] == changed["TaskTemplate"]["ForceUpdate"]
                tried += 1
        finally:
            swarm.remove_service(ours)
    assert tried >= len(CASES)


@pytest.mark.parametrize(
    ("flags", "manifest"),
    [
        ("--mode replicated-job --replicas 3 --max-concurrent 2", {"mode": "replicated-job", "job": {"completions": 3, "maxConcurrent": 2}}),
        ("--mode replicated-job --replicas 3", {"mode": "replicated-job", "job": {"completions": 3}}),
        ("--mode global-job", {"mode": "global-job"}),
    ],
)
def test_jobs(engine: PrivateEngine, swarm: DockerSwarm, flags: str, manifest: dict[str, Any]) -> None:
    never = "node.labels.never==yes"
    engine.docker("service", "create", "--quiet", "--detach", "--no-resolve-image", "--name", "theirs", "--constraint", never, *flags.split(), "none:1")
    desired = desired_of(swarm, {**manifest, "placement": {"constraints": [never]}})
    ours = swarm.create_service(creation(desired))
    try:
        raw = inspect(swarm, ours)
        equal(inspect(swarm, "theirs")["Spec"], raw["Spec"])
        assert compare(desired, raw["Spec"]).texts == []
        assert parse(raw).job_iteration == 0
        again = desired_of(swarm, {**manifest, "job": {**manifest.get("job", {}), "runId": "2"}, "placement": {"constraints": [never]}})
        swarm.update_service(ours, raw["Version"]["Index"], patch(again, raw["Spec"]))
        after = inspect(swarm, ours)
        assert (parse(after).job_iteration or 0) > 0
        assert compare(again, after["Spec"]).texts == []
    finally:
        swarm.remove_service(ours)
        engine.docker("service", "rm", "theirs")


def test_a_job_runs_to_completion_and_a_new_run_starts_from_nothing(engine: PrivateEngine, swarm: DockerSwarm) -> None:
    if not engine.import_image("task:1"):
        pytest.skip("no static busybox to make an image of")
    manifest = {"image": "task:1", "command": ["/bin/busybox", "true"], "mode": "replicated-job", "restartPolicy": {"condition": "none"}}
    desired = desired_of(swarm, {**manifest, "job": {"completions": 2, "runId": "a"}})
    ours = swarm.create_service(creation(desired))
    try:
        done = completed(swarm, ours)
        assert (done.desired, done.running, done.job) == (2, 2, True)
        raw = inspect(swarm, ours)
        assert compare(desired, raw["Spec"]).texts == []
        again = desired_of(swarm, {**manifest, "job": {"completions": 2, "runId": "b"}})
        swarm.update_service(ours, raw["Version"]["Index"], patch(again, raw["Spec"]))
        assert completed(swarm, ours).task_ids.isdisjoint(done.task_ids)
    finally:
        swarm.remove_service(ours)


def completed(swarm: DockerSwarm, service_id: str) -> Convergence:
    """What the tasks of the present run come to; waits until all have completed."""
    deadline = time.monotonic() + 60
    while True:
        found = measure(parse(inspect(swarm, service_id)), swarm.view(), swarm.list_tasks(service_id, up_to_date=True))
        if found.full or time.monotonic() > deadline:
            assert found.full, found
            return found
        time.sleep(0.3)
