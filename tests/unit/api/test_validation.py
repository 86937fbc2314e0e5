"""What the API server can't check: each problem is found, named by its field, and right specs have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm_operator.api.parse import Problem, parse_cluster, parse_pool, parse_service, parse_stack
from swarm_operator.api.validation import ENGINE_EXTRA_REFUSED, port_range, validate_cluster, validate_service
from swarm_operator.domain.cluster.pools import PoolObject, merge
from swarm_operator.domain.stack.convert import convert
from swarm_operator.domain.stack.parts import StackInput

ROOT = Path(__file__).resolve().parents[3]
MACHINE = {"flavor": {"name": "f"}, "image": {"name": "i"}}


def problems(**spec: Any) -> list[Problem]:
    return validate_cluster(parse_cluster({"identityRef": {"secretName": "s"}, "machine": MACHINE, **spec}))


def pools(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"network": {"managed": {"cidr": "10.20.0.7/24"}}}, "spec.network.managed.cidr", "must be the address of a network: 10.20.0.0/24, not 10.20.0.7/24"),
        ({"network": {"managed": {"cidr": "10.20.0.0/30"}}}, "spec.network.managed.cidr", "must have a prefix of at most /28"),
        ({"network": {"managed": {"dnsNameservers": ["9.9.9.9", "dns"]}}}, "spec.network.managed.dnsNameservers[1]", "must be an IPv4 address, not 'dns'"),
        (
            {"securityGroups": {"managed": {"operatorCidrs": ["1.2.3.4/8"]}}},
            "spec.securityGroups.managed.operatorCidrs[0]",
            "must be the address of a network: 1.0.0.0/8",
        ),
        (
            {"securityGroups": {"managed": {"publishedPorts": ["tcp/80", "tcp/90-80"]}}},
            "spec.securityGroups.managed.publishedPorts[1]",
            "must be a range of ports",
        ),
        ({"securityGroups": {"managed": {"publishedPorts": ["udp/0"]}}}, "spec.securityGroups.managed.publishedPorts[0]", "must be a range of ports"),
        ({"securityGroups": {"managed": {"publishedPorts": ["udp/65530-65536"]}}}, "spec.securityGroups.managed.publishedPorts[0]", "must be a range of ports"),
        ({"machine": {**MACHINE, "metadata": {"a/b": "x"}}}, "spec.machine.metadata", "keys must be 1 to 255 characters of"),
        ({"workerPools": [{"name": "a", "machine": {"metadata": {"ä": "x"}}}]}, "spec.workerPools[0].machine.metadata", "keys must be 1 to 255 characters of"),
        ({"workerPools": pools("a", "b", "a")}, "spec.workerPools[2].name", "must be unique; `a` occurs twice"),
        ({"workerPools": pools("a-1", "a")}, "spec.workerPools[0].name", "must not be `a` with a number"),
        ({"workerPools": pools("manager-0")}, "spec.workerPools[0].name", "must not be `manager` with a number"),
        (
            {
                "managers": {"floatingIP": {"addresses": ["198.51.100.7"]}},
                "workerPools": [{"name": "a", "floatingIP": {"enabled": True, "addresses": ["198.51.100.8", "198.51.100.7"]}}],
            },
            "spec.workerPools[0].floatingIP.addresses[1]",
            "must not be 198.51.100.7, which spec.managers.floatingIP.addresses[0] names",
        ),
        ({"engine": {"bip": "172.26.0.0/16"}}, "spec.engine.bip", "must be the address of the bridge, such as 172.26.0.1/16"),
        ({"engine": {"bip": "172.26.0.1/16", "fixedCIDR": "172.27.0.0/24"}}, "spec.engine.fixedCIDR", "must lie within bip 172.26.0.0/16"),
        ({"engine": {"registryMirrors": ["https://u:p@mirror"]}}, "spec.engine.registryMirrors[0]", "must be http(s)://host[:port][/path]"),
        ({"engine": {"insecureRegistries": ["http://r:5000"]}}, "spec.engine.insecureRegistries[0]", "must be host[:port] or a network"),
        ({"engine": {"labels": {"com.docker.x": "1"}}}, "spec.engine.labels", "keys must not start with `com.docker.`"),
        ({"engine": {"labels": {"a=b": "1"}}}, "spec.engine.labels", "keys must not be empty or hold `=`"),
        ({"engine": {"extra": {"live-restore": True}}}, "spec.engine.extra.live-restore", "must not be set: swarm mode refuses it"),
        ({"engine": {"extra": {"log-driver": "x"}}}, "spec.engine.extra.log-driver", "must not be set: set `spec.engine.logDriver`"),
        ({"swarm": {"defaultAddrPools": ["10.128.0.1/9"]}}, "spec.swarm.defaultAddrPools[0]", "must be the address of a network: 10.128.0.0/9"),
        ({"swarm": {"defaultAddrPools": ["10.64.0.0/26"]}}, "spec.swarm.defaultAddrPools[0]", "must not be smaller than a subnet of spec.swarm.subnetSize /24"),
        (
            {"swarm": {"defaultAddrPools": ["172.16.0.0/12", "10.64.0.0/12", "172.20.0.0/16"]}},
            "spec.swarm.defaultAddrPools[2]",
            "must not overlap defaultAddrPools[0] (172.16.0.0/12)",
        ),
        ({"swarm": {"defaultAddrPools": ["10.0.0.0/8"]}}, "spec.swarm.defaultAddrPools[0]", "must not overlap the network of the servers (10.20.0.0/24)"),
        ({"swarm": {"networks": [{"name": "ingress"}]}}, "spec.swarm.networks[0].name", "must not be `ingress`"),
        ({"swarm": {"networks": [{"name": "n", "subnet": "10.20.0.128/25"}]}}, "spec.swarm.networks[0].subnet", "must not overlap the network of the servers"),
        (
            {"swarm": {"networks": [{"name": "n", "subnet": "10.9.0.0/16"}, {"name": "m", "subnet": "10.9.1.0/24"}]}},
            "spec.swarm.networks[1].subnet",
            "must not overlap network `n` (10.9.0.0/16)",
        ),
    ],
)
def test_problem_of_a_cluster(spec: dict[str, Any], field: str, message: str) -> None:
    (problem,) = problems(**spec)
    assert problem.field == field
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"network": {"existing": {"network": {"name": "n"}}}, "swarm": {"defaultAddrPools": ["10.0.0.0/8"]}},
        {"workerPools": pools("a", "a-b", "pool-1", "pool-2")},
        {"engine": {"bip": "172.26.0.1/16", "fixedCIDR": "172.26.1.0/24", "extra": {"debug": True}}},
        {"engine": {"insecureRegistries": ["198.51.100.1:5000", "10.0.0.0/8"], "registryMirrors": ["https://mirror.example:5000"]}},
        {"securityGroups": {"managed": {"publishedPorts": ["tcp/80", "udp/1-65535"]}}},
    ],
)
def test_right_clusters_have_no_problem(spec: dict[str, Any]) -> None:
    assert problems(**spec) == []


def test_every_refused_key_is_refused() -> None:
    found = problems(engine={"extra": dict.fromkeys(ENGINE_EXTRA_REFUSED, "x")})
    assert {problem.field for problem in found} == {f"spec.engine.extra.{key}" for key in ENGINE_EXTRA_REFUSED}


def test_all_problems_are_told_at_once() -> None:
    found = problems(network={"managed": {"cidr": "10.20.0.1/24"}}, engine={"extra": {"hosts": []}}, workerPools=pools("manager-1"))
    assert [problem.field for problem in found] == ["spec.network.managed.cidr", "spec.workerPools[0].name", "spec.engine.extra.hosts"]


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("node.role==slave", "must compare node.role with `manager` or `worker`, not 'slave'"),
        ("node.ip == here", "must compare node.ip with an address or a network"),
        ("node.labels.a==b&c", "must not hold characters in its value that the engine refuses"),
    ],
)
def test_constraint_that_no_node_can_meet(constraint: str, message: str) -> None:
    spec = parse_service({"clusterRef": {"name": "c"}, "image": "i", "placement": {"constraints": ["node.role==worker", constraint]}})
    (problem,) = validate_service(spec)
    assert problem.field == "spec.placement.constraints[1]"
    assert problem.message.startswith(message)


def test_right_constraints_have_no_problem() -> None:
    constraints = ["node.role == Manager", "node.ip!=10.0.0.0/8", "node.labels.zone==eu west", "node.hostname!=w-0", "engine.labels.rack==r1"]
    assert validate_service(parse_service({"clusterRef": {"name": "c"}, "image": "i", "placement": {"constraints": constraints}})) == []


def test_env_name_twice() -> None:
    spec = parse_service({"clusterRef": {"name": "c"}, "image": "i", "env": [{"name": "A"}, {"name": "A"}]})
    assert [str(problem) for problem in validate_service(spec)] == ["spec.env[1].name: must be unique; `A` occurs twice"]


def test_port_range() -> None:
    assert port_range("tcp/80") == (80, 80)
    assert port_range("udp/30000-32767") == (30000, 32767)


def stack_problems(spec: dict[str, Any]) -> list[Any]:
    stack = parse_stack(spec)
    configs = {name: entry.config_map_ref.to_manifest() for name, entry in stack.configs.items()}
    secrets = {name: entry.secret_ref.to_manifest() for name, entry in stack.secrets.items()}
    wanted = StackInput("s", "s", {"clusterRef": {"name": "c"}}, {entry.name: entry.value for entry in stack.env}, configs, secrets)
    return list(convert(stack.compose, wanted).problems) if stack.compose is not None else []


def pool_problems(spec: dict[str, Any]) -> list[Any]:
    cluster = parse_cluster({"identityRef": {"secretName": "s"}, "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}}})
    return list(merge(cluster, [PoolObject("apps", 1, parse_pool(spec))]).refused.values())


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "deploy" / "examples").glob("*.yaml")), ROOT / "tests" / "apivalidation" / "corpus" / "full.yaml"], ids=lambda p: p.name
)
def test_examples_have_no_problem(path: Path) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        check: Any = {
            "SwarmCluster": lambda s: validate_cluster(parse_cluster(s)),
            "SwarmService": lambda s: validate_service(parse_service(s)),
            "SwarmStack": stack_problems,
            "SwarmWorkerPool": pool_problems,
        }
        if manifest["kind"] in ("ConfigMap", "Secret"):
            continue
        assert check[manifest["kind"]](manifest["spec"]) == []


def test_files_with_one_target() -> None:
    spec = parse_service(
        {
            "clusterRef": {"name": "c"},
            "image": "i",
            "configs": [{"name": "a", "target": "x"}, {"configMapRef": {"name": "m", "key": "x"}}],
            "secrets": [{"name": "x"}, {"secretRef": {"name": "s", "key": "y"}}, {"secretRef": {"name": "t", "key": "y"}}],
        }
    )
    assert [str(problem) for problem in validate_service(spec)] == [
        "spec.configs[1].target: must be unique; `x` occurs twice",
        "spec.secrets[2].target: must be unique; `y` occurs twice",
    ]


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"hostAliases": [{"ip": "db", "hostnames": ["db"]}]}, "spec.hostAliases[0].ip", "must be an IP address, not 'db'"),
        ({"dnsConfig": {"nameservers": ["::1", "dns"]}}, "spec.dnsConfig.nameservers[1]", "must be an IP address, not 'dns'"),
        ({"capabilities": {"add": ["CAP_CHOWN"], "drop": ["KILL", "chown"]}}, "spec.capabilities.drop[1]", "must not name `chown`"),
        ({"mounts": [{"target": "/a"}, {"target": "/a/"}]}, "spec.mounts[1].target", "must be unique; `/a` occurs twice"),
        ({"privileges": {"seccomp": {"mode": "custom", "profile": "[]"}}}, "spec.privileges.seccomp.profile", "must be a JSON object"),
        ({"resources": {"limits": {"cpu": "0.0001"}}}, "spec.resources.limits.cpu", "must be at least 1m"),
        ({"resources": {"limits": {"cpu": "0"}}}, "spec.resources.limits.cpu", "must be at least 1m"),
        ({"resources": {"reservations": {"memory": "1Mi"}}}, "spec.resources.reservations.memory", "must be at least 4Mi"),
    ],
)
def test_container_fields(fields: dict[str, Any], field: str, message: str) -> None:
    (problem,) = validate_service(parse_service({"clusterRef": {"name": "c"}, "image": "x", **fields}))
    assert (problem.field, problem.message[: len(message)]) == (field, message)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rollout": {"order": ["manager", "db"]}}, "spec.rollout.order[1]: must be `manager` or the name of a pool, not 'db'"),
        (
            {"maintenanceWindows": [{"schedule": "0 25 * * *"}]},
            "spec.maintenanceWindows[0].schedule: can't be read as a cron schedule: Bad hour in '0 25 * * *'",
        ),
        (
            {"maintenanceWindows": [{"schedule": "0 0 3 * * *"}]},
            "spec.maintenanceWindows[0].schedule: must have five fields (minute, hour, day of the month, month, day of the week), not '0 0 3 * * *'",
        ),
        (
            {"backup": {"schedule": "61 3 * * *"}},
            "spec.backup.schedule: can't be read as a cron schedule: Bad minute in '61 3 * * *'",
        ),
        (
            {"backup": {"schedule": "0 3 * * *", "timeZone": "Berlin"}},
            "spec.backup.timeZone: must be an IANA time zone such as Europe/Berlin, not 'Berlin'",
        ),
        (
            {"maintenanceWindows": [{"schedule": "0 3 * * *", "timeZone": "Berlin"}]},
            "spec.maintenanceWindows[0].timeZone: must be an IANA time zone such as Europe/Berlin, not 'Berlin'",
        ),
    ],
)
def test_rollout_and_windows(changes: dict[str, Any], problem: str) -> None:
    base = {"identityRef": {"secretName": "s"}, "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}}, "workerPools": [{"name": "web"}]}
    assert [str(p) for p in validate_cluster(parse_cluster({**base, **changes}))] == [problem]


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"managers": {"promoteFrom": "web"}}, []),
        ({"managers": {"promoteFrom": "apps"}}, []),
        (
            {"managers": {"promoteFrom": "web"}, "workerPools": [{"name": "web", "preemptible": True}]},
            ["spec.managers.promoteFrom: pool 'web' is preemptible: the cloud may take its servers at any time"],
        ),
        ({"managers": {"promoteFrom": "db"}}, ["spec.managers.promoteFrom: must be the name of a pool, not 'db'"]),
        (
            {"managers": {"promoteFrom": "web", "machine": {"volumes": [{"name": "b", "sizeGiB": 1, "mountPath": "/b"}]}}},
            ["spec.managers.promoteFrom: managers with `volumes` can't be replaced by workers"],
        ),
        (
            {
                "managers": {"promoteFrom": "web"},
                "workerPools": [{"name": "web", "machine": {"ports": [{"name": "swarm"}, {"name": "storage", "network": {"name": "storage"}}]}}],
            },
            ["spec.managers.promoteFrom: workers of pool 'web' have `ports`, and can't become managers"],
        ),
        (
            {
                "managers": {"promoteFrom": "web"},
                "workerPools": [{"name": "web", "machine": {"os": "Ignition", "volumes": [{"name": "b", "sizeGiB": 1, "mountPath": "/b"}]}}],
            },
            [
                "spec.managers.promoteFrom: workers of pool 'web' have `volumes`, and can't become managers",
                "spec.managers.promoteFrom: workers of pool 'web' are set up by Ignition, and can't become managers",
            ],
        ),
    ],
)
def test_spare_managers(changes: dict[str, Any], problems: list[str]) -> None:
    base = {"identityRef": {"secretName": "s"}, "machine": {"flavor": {"name": "f"}, "image": {"name": "i"}}, "workerPools": [{"name": "web"}]}
    found = [str(p) for p in validate_cluster(parse_cluster({**base, **changes}), ["apps"])]
    assert [p for p in found if "promoteFrom" in p] == problems
