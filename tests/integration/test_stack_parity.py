"""What `docker stack deploy` makes of a compose file and what our conversion makes of it, on one real engine: services and networks, as `inspect` gives them.

One file, a case per service, deployed by the real Docker CLI, taken down, and deployed again by our conversion, renderer and adapter. What the two differ in is listed in
JUSTIFIED. Services have no replicas or match no node, so no image is needed. Both are read with the engine's defaults filled in.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from integration.private_engine import ENGINES, PrivateEngine, engine_of, swarm_of
from swarm_operator.adapters.docker import DockerSwarm
from swarm_operator.adapters.docker.transport import Transport
from swarm_operator.api.parse import parse_service
from swarm_operator.domain.service.compare import compare, creation
from swarm_operator.domain.service.materials import Sources, resolve, with_ids
from swarm_operator.domain.service.render import Desired, Owner, render
from swarm_operator.domain.stack.convert import convert
from swarm_operator.domain.stack.parts import Converted, StackInput

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")

OWNER = Owner("uid-1", "default", "ours")
NEVER = {"placement": {"constraints": ["node.labels.never==yes"]}}

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "image": {"image": "registry.example:5000/app/web:${TAG:-1.2}"},
    "words": {"command": "sh -c 'a b'", "entrypoint": ["/run", "me"]},
    "environment": {"environment": {"B": 2, "A": "x=y", "F": 1.50, "E": "", "DOLLAR": "$$x", "T": "{{.Task.Slot}}"}},
    "envlist": {"environment": ["B=2", "A=1"]},
    "labels": {"labels": ["a=b", "c"], "deploy": {"labels": {"d": "e", "count": 5}}},
    "people": {"user": "1:2", "working_dir": "/srv", "hostname": "h-{{.Node.Hostname}}"},
    "flags": {"tty": True, "stdin_open": True, "read_only": True, "init": True},
    "noinit": {"init": False},
    "stop": {"stop_signal": "SIGINT", "stop_grace_period": "1m30s"},
    "capabilities": {"cap_add": ["net_admin", "CAP_CHOWN"], "cap_drop": ["chown", "kill"]},
    "allcapabilities": {"cap_drop": ["ALL", "kill"]},
    "kernel": {"sysctls": {"net.core.somaxconn": 1024}, "ulimits": {"nproc": 5, "nofile": {"soft": 10, "hard": 20}}},
    "hosts": {"extra_hosts": ["db:10.0.0.1", "db6:::1"], "dns": ["192.0.2.1", "192.0.2.2"], "dns_search": "a.example"},
    "hostmap": {"extra_hosts": {"db": "10.0.0.1"}},
    "windows": {"isolation": "process", "credential_spec": {"file": "x.json"}},
    "logging": {"logging": {"driver": "json-file", "options": {"max-size": "1m", "max-file": 3}}},
    "health": {"healthcheck": {"test": "curl x", "interval": "10s", "timeout": "1m", "retries": 4, "start_period": "2h"}},
    "healthlist": {"healthcheck": {"test": ["CMD", "curl", "x"]}},
    "nohealth": {"healthcheck": {"disable": True}},
    "nonehealth": {"healthcheck": {"test": ["NONE"]}},
    "restart": {"restart": "on-failure:3"},
    "restartalways": {"restart": "always"},
    "restartno": {"restart": "no"},
    "policy": {"deploy": {"restart_policy": {"condition": "on-failure", "delay": "1s", "max_attempts": 2, "window": "3s"}}},
    "update": {
        "deploy": {
            "update_config": {
                "parallelism": 2,
                "delay": "1s",
                "monitor": "3s",
                "failure_action": "rollback",
                "max_failure_ratio": 0.15,
                "order": "start-first",
            },
            "rollback_config": {"parallelism": 0, "order": "stop-first"},
        }
    },
    "partialupdate": {"deploy": {"update_config": {"order": "start-first"}}},
    "resources": {
        "deploy": {
            "resources": {
                "limits": {"cpus": "0.50", "memory": "64M", "pids": 9},
                "reservations": {
                    "cpus": "0.25",
                    "memory": "8mb",
                    "generic_resources": [{"discrete_resource_spec": {"kind": "gpu", "value": 2}}],
                },
            }
        }
    },
    "placement": {
        "deploy": {
            "placement": {"constraints": ["node.role==worker"], "preferences": [{"spread": "node.labels.z"}], "max_replicas_per_node": 2},
        }
    },
    "dnsrr": {"deploy": {"endpoint_mode": "dnsrr"}},
    "global": {"deploy": {"mode": "global", **NEVER}},
    "job": {"deploy": {"mode": "replicated-job", "replicas": 3, **NEVER}},
    "globaljob": {"deploy": {"mode": "global-job", **NEVER}},
    "ports": {"ports": ["8081:80", "8082-8083:82-83/udp", "84", {"target": 85, "published": 8085, "protocol": "tcp", "mode": "host"}]},
    "address": {"ports": ["127.0.0.1:8086:86"]},
    "binds": {"volumes": ["/a:/b:ro,rslave", {"type": "bind", "source": "/c", "target": "/d", "bind": {"propagation": "shared"}}]},
    "volumes": {"volumes": ["data:/d:nocopy", "nfs:/n:ro", "/anonymous", "theirs:/t", {"type": "volume", "source": "data", "target": "/e"}]},
    "tmpfs": {"volumes": [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": 1048576}}, {"type": "tmpfs", "target": "/u"}]},
    "networks": {"networks": {"front": {"aliases": ["www"]}, "named": None, "outside": None}},
    "hostnet": {"networks": ["hosts"]},
    "files": {"configs": ["site", {"source": "named", "target": "/etc/x", "uid": "5", "gid": "6", "mode": 0o440}], "secrets": ["key"]},
    "ignored": {"build": ".", "container_name": "x", "depends_on": ["plain"], "privileged": True, "expose": ["80"], "links": ["plain"], "shm_size": "1g"},
}
REST: dict[str, Any] = {
    "version": "3.12",
    "networks": {
        "front": {"driver_opts": {"encrypted": ""}, "attachable": True, "internal": True, "labels": {"a": "b"}},
        "named": {"name": "chosen", "ipam": {"config": [{"subnet": "10.77.0.0/24"}]}},
        "outside": {"external": True, "name": "blue"},
        "hosts": {"external": True, "name": "host"},
        "unused": {},
    },
    "volumes": {
        "data": None,
        "nfs": {"name": "shared", "driver": "local", "driver_opts": {"type": "nfs", "o": "addr=x"}, "labels": ["a=b"]},
        "theirs": {"external": True, "name": "old"},
    },
    "configs": {"site": {"external": True}, "named": {"external": True, "name": "site2"}},
    "secrets": {"key": {"external": True}},
}

JUSTIFIED = {
    "owner labels": "io.swarmops.*: by them the operator knows its services and networks",
    "EndpointSpec": "docker writes the default mode vip",
    "Privileges": "docker writes an empty struct; we write none",
    "empty structs": "DNSConfig, Resources, Placement, TmpfsOptions, VolumeOptions: nothing to the engine",
    "order": "of env, mounts, ports, networks, hosts of different names: means nothing, see test_cli_parity",
}
"""Each difference that `comparable` leaves out, and why it is none for the engine."""


def compose_file() -> str:
    services: dict[str, Any] = {}
    for name, case in CASES.items():
        deploy = dict(case.get("deploy", {}))
        if "mode" not in deploy:
            deploy["replicas"] = 0
        services[name] = {"image": "none:1", **case, "deploy": deploy}
    text: str = yaml.safe_dump({**REST, "services": services}, sort_keys=False)
    return text


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[PrivateEngine]:
    with swarm_of(engine_of(request.param)) as engine:
        engine.docker("network", "create", "--driver", "overlay", "blue")
        for name in ("site", "site2"):
            engine.docker("config", "create", name, "-", data=b"x")
        engine.docker("secret", "create", "key", "-", data=b"x")
        yield engine


class Deployed:
    """Services and networks of the stack by their names, as read from the engine; networks by name in place of ids."""

    def __init__(self, http: Transport) -> None:
        names = {network["Id"]: network["Name"] for network in http.get("/networks")}
        names |= {found["Id"]: name for name in ("host",) for found in [http.get(f"/networks/{name}", scope="swarm")]}
        self.services: dict[str, Any] = {}
        self.raw: dict[str, Any] = {}
        for service in http.get("/services"):
            full = http.get(f"/services/{service['ID']}", insertDefaults="true")["Spec"]
            for attachment in full["TaskTemplate"].get("Networks") or ():
                attachment["Target"] = names[attachment["Target"]]
            self.services[full["Name"]] = full
            self.raw[full["Name"]] = service["Spec"]
        mine = [network for network in http.get("/networks") if "com.docker.stack.namespace" in (network.get("Labels") or {})]
        self.networks = {network["Name"]: network for network in mine}


def comparable(value: Any) -> Any:
    """Without what is empty, with lists in one order: JUSTIFIED."""
    if isinstance(value, dict):
        kept = {key: comparable(entry) for key, entry in value.items() if not key.startswith("io.swarmops.")}
        return {key: entry for key, entry in kept.items() if entry not in ({}, [], None, False) and (key, entry) != ("Mode", "vip")}
    if isinstance(value, list):
        return sorted((comparable(entry) for entry in value), key=repr)
    return value


@pytest.fixture(scope="module")
def theirs(engine: PrivateEngine) -> Iterator[Deployed]:
    """The stack as the CLI deploys it; taken down when it has been read."""
    engine.docker("stack", "deploy", "--resolve-image", "never", "--compose-file", "-", "shop", data=compose_file().encode())
    http = Transport([engine.endpoint], engine.tls)
    found = Deployed(http)
    engine.docker("stack", "rm", "shop")
    deadline = time.monotonic() + 60
    while any("com.docker.stack.namespace" in (network.get("Labels") or {}) for network in http.get("/networks")) and time.monotonic() < deadline:
        time.sleep(0.5)
    yield found
    http.close()


@pytest.fixture(scope="module")
def conversion() -> Converted:
    found = convert(compose_file(), StackInput("shop", "shop", {"clusterRef": {"name": "c"}}))
    assert found.problems == (), [str(problem) for problem in found.problems]
    return found


@pytest.fixture(scope="module")
def ours(engine: PrivateEngine, theirs: Deployed, conversion: Converted) -> Iterator[tuple[Deployed, dict[str, Desired]]]:
    """The same file by our conversion."""
    http = Transport([engine.endpoint], engine.tls)
    swarm = DockerSwarm(http)
    made = []
    for network in conversion.networks:
        labels = {**network.labels, "io.swarmops.stack-uid": "x"}
        made.append(
            swarm.create_network(
                network.name,
                attachable=network.attachable,
                encrypted=False,
                subnet=network.subnet,
                labels=labels,
                internal=network.internal,
                driver_opts=dict(network.driver_opts),
            )
        )
    networks = {network.name: network.id for network in swarm.view().networks}
    materials = swarm.list_materials()
    wanted = {}
    for service in conversion.services:
        spec = parse_service(service.spec)
        context = resolve(spec, OWNER, Sources({}, {}, b"")).supplied(None, None)
        desired = wanted[f"shop_{service.name}"] = render(spec, OWNER, networks, context)
        swarm.create_service(with_ids(creation(desired), materials))
    yield Deployed(http), wanted
    for service in swarm.list_services():
        swarm.remove_service(service["ID"])
    http.close()


def test_both_make_the_same_services_and_networks(theirs: Deployed, ours: tuple[Deployed, dict[str, Desired]]) -> None:
    assert set(theirs.services) == set(ours[0].services) == {f"shop_{name}" for name in CASES}
    assert set(theirs.networks) == set(ours[0].networks) == {"shop_default", "shop_front", "chosen"}
    for name, network in theirs.networks.items():
        mine = ours[0].networks[name]
        for key in ("Driver", "Attachable", "Internal", "EnableIPv6", "Scope"):
            assert mine[key] == network[key], (name, key)
        assert comparable(mine["Labels"]) == comparable(network["Labels"])
    front = {key: comparable(side.networks["shop_front"]["Options"]) for key, side in (("theirs", theirs), ("ours", ours[0]))}
    assert "encrypted" in front["theirs"] and set(front["theirs"]) == set(front["ours"])
    assert [entry["Subnet"] for entry in ours[0].networks["chosen"]["IPAM"]["Config"]] == ["10.77.0.0/24"]


@pytest.mark.parametrize("name", CASES)
def test_the_same_service_as_docker_stack_deploy_makes(theirs: Deployed, ours: tuple[Deployed, dict[str, Desired]], name: str) -> None:
    """Equal on the engine, and it reads back equal to what we want."""
    full = f"shop_{name}"
    assert comparable(ours[0].services[full]) == comparable(theirs.services[full])
    assert compare(ours[1][full], ours[0].raw[full]).texts == []


def test_docker_lists_our_stack_as_its_own(engine: PrivateEngine, ours: tuple[Deployed, dict[str, Desired]]) -> None:
    assert engine.docker("stack", "ls", "--format", "{{.Name}} {{.Services}}").stdout.split() == ["shop", str(len(CASES))]
    listed = engine.docker("stack", "services", "shop", "--format", "{{.Name}}").stdout.split()
    assert set(listed) == {f"shop_{name}" for name in CASES}


def test_docker_ignores_the_keys_that_we_tell(engine: PrivateEngine, conversion: Converted) -> None:
    """`docker stack config` and deploy tell of their own; each of theirs is among ours."""
    told = engine.docker("stack", "deploy", "--resolve-image", "never", "--compose-file", "-", "told", data=ignoring().encode())
    words = told.stderr.partition("Ignoring unsupported options:")[2].splitlines()[0]
    engine.docker("stack", "rm", "told")
    warned = {warning.split(" ")[0].rpartition(".")[2] for warning in conversion.warnings if warning.startswith("services.ignored.")}
    theirs = {word.strip() for word in words.split(",")}
    assert theirs and theirs <= warned
    assert {"container_name", "expose", "depends_on"} <= warned


def ignoring() -> str:
    text: str = yaml.safe_dump(
        {"version": "3.12", "services": {"plain": {"image": "none:1", "deploy": {"replicas": 0}}, "ignored": {"image": "none:1", **CASES["ignored"]}}}
    )
    return text
