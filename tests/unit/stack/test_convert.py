"""Compose files as SwarmServices: what each key becomes, what is refused and what is told."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from swarm_operator.domain.stack.compose import interpolate, load
from swarm_operator.domain.stack.convert import convert
from swarm_operator.domain.stack.notes import Notes
from swarm_operator.domain.stack.parts import Converted, StackInput, StackNetwork

LABEL = {"com.docker.stack.namespace": "shop"}
BASE = {"clusterRef": {"name": "blue"}}


def converted(text: str, variables: dict[str, str] | None = None, **references: Any) -> Converted:
    return convert(text, StackInput("shop", "shop", BASE, variables or {}, **references))


def web(service: dict[str, Any], rest: dict[str, Any] | None = None, **references: Any) -> Converted:
    return converted(yaml.safe_dump({"services": {"web": {"image": "web:1", **service}}, **(rest or {})}, sort_keys=False), **references)


def spec_of(found: Converted) -> dict[str, Any]:
    assert found.problems == (), [str(problem) for problem in found.problems]
    return found.services[0].spec


PLAIN = spec_of(web({}))


def test_the_least_service() -> None:
    found = web({})
    assert PLAIN == {
        "clusterRef": {"name": "blue"},
        "serviceName": "shop_web",
        "image": "web:1",
        "mode": "replicated",
        "labels": {**LABEL, "com.docker.stack.image": "web:1"},
        "containerLabels": LABEL,
        "networks": [{"name": "shop_default", "aliases": ["web"]}],
    }
    assert found.services[0].object_name == "shop-web"
    assert found.networks == (StackNetwork("shop_default", labels=LABEL),)
    assert found.warnings == ()


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"command": "sh -c 'a b'"}, {"args": ["sh", "-c", "a b"]}),
    ({"command": ["a b", "c"]}, {"args": ["a b", "c"]}),
    ({"entrypoint": "/run me"}, {"command": ["/run", "me"]}),
    ({"environment": {"B": 2, "A": "1", "F": 1.5, "E": ""}}, {"env": [{"name": n, "value": v} for n, v in (("A", "1"), ("B", "2"), ("E", ""), ("F", "1.5"))]}),
    ({"environment": ["A=x=y"]}, {"env": [{"name": "A", "value": "x=y"}]}),
    ({"labels": ["a=b", "c"]}, {"containerLabels": {"a": "b", "c": "", **LABEL}}),
    ({"deploy": {"labels": {"a": "b"}}}, {"labels": {"a": "b", **LABEL, "com.docker.stack.image": "web:1"}}),
    ({"working_dir": "/srv", "user": "1:2", "hostname": "h-{{.Task.Slot}}"}, {"workingDir": "/srv", "user": "1:2", "hostname": "h-{{.Task.Slot}}"}),
    ({"tty": True, "stdin_open": True, "read_only": True, "init": False}, {"tty": True, "stdin": True, "readOnly": True, "init": False}),
    ({"tty": False, "read_only": "no"}, {}),
    ({"stop_signal": "SIGINT", "stop_grace_period": "1m30s"}, {"stopSignal": "SIGINT", "stopGracePeriodSeconds": 90}),
    ({"cap_add": ["net_admin", "CAP_CHOWN"], "cap_drop": ["chown", "kill"]}, {"capabilities": {"add": ["CAP_CHOWN", "CAP_NET_ADMIN"], "drop": ["CAP_KILL"]}}),
    ({"cap_drop": ["ALL", "kill"]}, {"capabilities": {"drop": ["ALL"]}}),
    ({"sysctls": {"net.core.somaxconn": 1024}}, {"sysctls": {"net.core.somaxconn": "1024"}}),
    (
        {"ulimits": {"nproc": 5, "nofile": {"soft": 1, "hard": 2}}},
        {"ulimits": [{"name": "nofile", "soft": 1, "hard": 2}, {"name": "nproc", "soft": 5, "hard": 5}]},
    ),
    (
        {"extra_hosts": ["db:10.0.0.1", "six:::1"]},
        {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}, {"ip": "::1", "hostnames": ["six"]}]},
    ),
    ({"extra_hosts": {"db": "10.0.0.1"}}, {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}]}),
    ({"dns": "192.0.2.1", "dns_search": ["a.example"]}, {"dnsConfig": {"nameservers": ["192.0.2.1"], "searches": ["a.example"]}}),
    ({"isolation": "process", "oom_score_adj": 3}, {"isolation": "process", "oomScoreAdj": 3}),
    ({"credential_spec": {"file": "x.json"}}, {"privileges": {"credentialSpec": {"file": "x.json"}}}),
    ({"logging": {"driver": "syslog", "options": {"n": 3}}}, {"logDriver": {"name": "syslog", "options": {"n": "3"}}}),
    (
        {"healthcheck": {"test": "curl x", "interval": "10s", "timeout": "1m", "retries": "4", "start_period": "2h"}},
        {"healthcheck": {"test": ["CMD-SHELL", "curl x"], "intervalSeconds": 10, "timeoutSeconds": 60, "retries": 4, "startPeriodSeconds": 7200}},
    ),
    ({"healthcheck": {"test": ["CMD", "x"]}}, {"healthcheck": {"test": ["CMD", "x"]}}),
    ({"healthcheck": {"disable": True}}, {"healthcheck": {"disable": True}}),
    ({"healthcheck": {"test": ["NONE"]}}, {"healthcheck": {"disable": True}}),
    ({"restart": "always"}, {"restartPolicy": {"condition": "any"}}),
    ({"restart": "on-failure:3"}, {"restartPolicy": {"condition": "on-failure", "maxAttempts": 3}}),
    ({"deploy": {"replicas": "0"}}, {"replicas": 0}),
    ({"deploy": {"mode": "global"}}, {"mode": "global"}),
    ({"deploy": {"mode": "replicated-job", "replicas": 3}}, {"mode": "replicated-job", "job": {"completions": 3, "maxConcurrent": 3}}),
    ({"deploy": {"mode": "global-job"}}, {"mode": "global-job"}),
    ({"restart": "always", "deploy": {"mode": "global-job"}}, {"mode": "global-job", "restartPolicy": {"condition": "on-failure"}}),
    ({"deploy": {"endpoint_mode": "DNSRR"}}, {"endpointMode": "dnsrr"}),
    (
        {
            "deploy": {
                "placement": {"constraints": ["node.role==worker"], "preferences": [{"spread": "node.labels.z"}], "max_replicas_per_node": 2},
            }
        },
        {"placement": {"constraints": ["node.role==worker"], "preferences": [{"spread": "node.labels.z"}], "maxReplicas": 2}},
    ),
    (
        {
            "deploy": {
                "resources": {
                    "limits": {"cpus": "0.50", "memory": "64M", "pids": 9},
                    "reservations": {"cpus": "0.25", "memory": "1gb", "generic_resources": [{"discrete_resource_spec": {"kind": "gpu", "value": 2}}]},
                }
            }
        },
        {
            "resources": {
                "limits": {"cpu": "0.5", "memory": "67108864", "pids": 9},
                "reservations": {"cpu": "0.25", "memory": "1073741824", "genericResources": [{"kind": "gpu", "value": 2}]},
            }
        },
    ),
    (
        {"deploy": {"restart_policy": {"condition": "on-failure", "delay": "1s", "max_attempts": 2, "window": "3s"}}},
        {"restartPolicy": {"condition": "on-failure", "delaySeconds": 1, "maxAttempts": 2, "windowSeconds": 3}},
    ),
    (
        {"deploy": {"update_config": {"parallelism": 2, "delay": "1s", "monitor": "3s", "failure_action": "rollback", "max_failure_ratio": 0.15}}},
        {"updateConfig": {"parallelism": 2, "delaySeconds": 1, "monitorSeconds": 3, "failureAction": "rollback", "maxFailureRatio": 0.15}},
    ),
    ({"deploy": {"rollback_config": {"order": "start-first", "monitor": "0s"}}}, {"rollbackConfig": {"order": "start-first"}}),
    ({"ports": ["80"]}, {"ports": [{"targetPort": 80}]}),
    ({"ports": [80, "53:54/UDP"]}, {"ports": [{"targetPort": 80}, {"targetPort": 54, "publishedPort": 53, "protocol": "udp"}]}),
    ({"ports": ["8000-8001:80-81"]}, {"ports": [{"targetPort": 80, "publishedPort": 8000}, {"targetPort": 81, "publishedPort": 8001}]}),
    ({"ports": ["8000-8001:80"]}, {"ports": [{"targetPort": 80, "publishedPort": 8000}, {"targetPort": 80, "publishedPort": 8001}]}),
    (
        {"ports": [{"target": 80, "published": "8080", "protocol": "tcp", "mode": "host"}]},
        {"ports": [{"targetPort": 80, "publishedPort": 8080, "protocol": "tcp", "publishMode": "host"}]},
    ),
    (
        {"volumes": ["/a:/b:ro,rslave"]},
        {"mounts": [{"type": "bind", "source": "/a", "target": "/b", "readOnly": True, "bindOptions": {"propagation": "rslave"}}]},
    ),
    ({"volumes": ["/only"]}, {"mounts": [{"type": "volume", "target": "/only"}]}),
    (
        {"volumes": [{"type": "bind", "source": "/a", "target": "/b", "bind": {"propagation": "shared"}}]},
        {"mounts": [{"type": "bind", "source": "/a", "target": "/b", "bindOptions": {"propagation": "shared"}}]},
    ),
    (
        {"volumes": [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": 1024}}]},
        {"mounts": [{"type": "tmpfs", "target": "/t", "tmpfsOptions": {"size": "1024"}}]},
    ),
    ({"tmpfs": "/t:size=1k,mode=1777"}, {"mounts": [{"type": "tmpfs", "target": "/t", "tmpfsOptions": {"size": "1024", "mode": 0o1777}}]}),
    ({"group_add": ["a", 5]}, {"groups": ["a", "5"]}),
    ({"x-anything": {"a": 1}}, {}),
]


@pytest.mark.parametrize(("service", "expected"), CASES, ids=lambda value: next(iter(value), "nothing"))
def test_what_a_key_becomes(service: dict[str, Any], expected: dict[str, Any]) -> None:
    found = web(service)
    assert spec_of(found) == {**PLAIN, **expected}
    assert found.warnings == ()


def test_volumes_of_the_file() -> None:
    found = web(
        {"volumes": ["data:/d:nocopy", {"type": "volume", "source": "nfs", "target": "/n", "read_only": True}, "theirs:/t"]},
        {
            "volumes": {
                "data": None,
                "nfs": {"name": "shared", "driver": "local", "driver_opts": {"type": "nfs"}, "labels": ["a=b"]},
                "theirs": {"external": {"name": "old"}},
            }
        },
    )
    assert spec_of(found)["mounts"] == [
        {"type": "volume", "source": "shop_data", "target": "/d", "volumeOptions": {"labels": LABEL, "noCopy": True}},
        {
            "type": "volume",
            "source": "shared",
            "target": "/n",
            "readOnly": True,
            "volumeOptions": {"driver": "local", "driverOpts": {"type": "nfs"}, "labels": {"a": "b", **LABEL}},
        },
        {"type": "volume", "source": "old", "target": "/t"},
    ]


def test_networks_of_the_file() -> None:
    found = web(
        {"networks": {"front": {"aliases": ["www"]}, "theirs": None, "host": None}},
        {
            "networks": {
                "front": {"driver": "overlay", "driver_opts": {"encrypted": ""}, "attachable": True, "ipam": {"config": [{"subnet": "10.9.0.0/24"}]}},
                "theirs": {"external": True, "name": "shared"},
                "host": {"external": True, "name": "hosts"},
                "unused": {},
            }
        },
    )
    assert spec_of(found)["networks"] == [
        {"name": "hosts", "aliases": ["web"]},
        {"name": "shared", "aliases": ["web"]},
        {"name": "shop_front", "aliases": ["www", "web"]},
    ]
    assert found.networks == (StackNetwork("shop_front", {"encrypted": ""}, True, False, "10.9.0.0/24", LABEL),)


def test_the_network_of_the_host_has_no_aliases() -> None:
    found = web({"networks": ["host"]}, {"networks": {"host": {"external": True}}})
    assert spec_of(found)["networks"] == [{"name": "host"}]
    assert found.networks == ()


def test_configs_and_secrets_come_from_kubernetes() -> None:
    found = web(
        {"configs": [{"source": "site", "target": "/etc/site", "mode": 0o440, "uid": "5"}, "theirs"], "secrets": ["key"]},
        {
            "configs": {"site": {"file": "./site.conf", "template_driver": "golang"}, "theirs": {"external": True, "name": "old"}},
            "secrets": {"key": {"file": "./key"}},
        },
        configs={"site": {"name": "site", "key": "site.conf"}},
        secrets={"key": {"name": "tls", "key": "tls.key"}},
    )
    spec = spec_of(found)
    assert spec["configs"] == [
        {"configMapRef": {"name": "site", "key": "site.conf"}, "templating": True, "target": "/etc/site", "uid": "5", "mode": 0o440},
        {"name": "old", "target": "theirs"},
    ]
    assert spec["secrets"] == [{"secretRef": {"name": "tls", "key": "tls.key"}, "target": "key"}]


PROBLEMS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"image": None}, {}, "services.web.image: is required"),
    ({"image": "Not An Image"}, {}, "services.web.image: must be an image reference"),
    ({"imge": "x"}, {}, "services.web.imge: is not known"),
    ({"env_file": ".env"}, {}, "services.web.env_file: can't be carried out"),
    ({"extends": {"service": "x"}}, {}, "services.web.extends: can't be carried out"),
    ({"mem_limit": "1g"}, {}, "services.web.mem_limit: must be set in deploy.resources"),
    ({"tty": "perhaps"}, {}, "services.web.tty: must be true or false"),
    ({"environment": {"A": True}}, {}, "services.web.environment.A: must be a string or a number"),
    ({"environment": ["A=1"], "hostname": 5}, {}, "services.web.hostname: must be a string"),
    ({"healthcheck": {"interval": "500ms", "test": "x"}}, {}, "services.web.healthcheck.interval: must be a whole number of seconds"),
    ({"healthcheck": {"test": ["x"]}}, {}, "services.web.healthcheck.test: must begin with CMD"),
    ({"stop_grace_period": "soon"}, {}, "services.web.stop_grace_period: must be a duration"),
    ({"deploy": {"labels": {"io.swarmops.x": "1"}}}, {}, "services.web.deploy.labels: must not hold keys"),
    ({"deploy": {"mode": "some"}}, {}, "services.web.deploy.mode: must be one of"),
    ({"deploy": {"mode": "global", "replicas": 2}}, {}, "services.web.deploy.replicas: must not be set with mode global"),
    ({"deploy": {"replicas": "many"}}, {}, "services.web.deploy.replicas: must be an integer"),
    ({"deploy": {"resources": {"limits": {"memory": "1k"}}}}, {}, "services.web: as SwarmService: spec.resources.limits.memory: must be at least 4Mi"),
    ({"deploy": {"update_config": {"order": "both"}}}, {}, "services.web: as SwarmService: spec.updateConfig.order: must be one of"),
    ({"deploy": {"placement": {"constraints": ["node.colour==red"]}}}, {}, "services.web: as SwarmService: spec.placement.constraints[0]"),
    ({"deploy": {"endpoint_mode": "dnsrr"}, "ports": ["80:80"]}, {}, "services.web.ports: must have mode host"),
    ({"deploy": {"mode": "replicated-job", "update_config": {"parallelism": 1}}}, {}, "services.web.deploy.update_config: must not be set"),
    ({"ports": ["80:80", "80:81"]}, {}, "services.web.ports: must not publish 80/tcp twice"),
    ({"ports": ["http"]}, {}, "services.web.ports[0]: must have the form"),
    ({"ports": ["70000:80"]}, {}, "services.web.ports[0]: must name ports from 1 to 65535"),
    ({"ports": ["80-82:80-81"]}, {}, "services.web.ports[0]: must have ranges of the same length"),
    ({"volumes": ["./a:/b"]}, {}, "services.web.volumes[0]: must be an absolute path on the nodes"),
    ({"volumes": ["data:/b"]}, {}, "services.web.volumes[0]: names the volume 'data'"),
    ({"volumes": ["/a:/x", "/b:/x/"]}, {}, "services.web.volumes: must not mount two things at /x"),
    ({"volumes": [{"type": "cluster", "source": "a", "target": "/b"}]}, {}, "services.web.volumes[0].type: must be volume, bind, tmpfs or npipe"),
    ({"volumes": [{"type": "tmpfs", "target": "/b", "volume": {"nocopy": True}}]}, {}, "services.web.volumes[0].volume: must not be set with type tmpfs"),
    ({"networks": ["front"]}, {}, "services.web.networks: names 'front'"),
    ({"networks": ["a", "b"]}, {"networks": {"a": {"name": "x"}, "b": {"name": "x"}}}, "services.web.networks: must not name one network"),
    ({}, {"networks": {"default": {"driver": "bridge"}}}, "networks.default.driver: must be overlay"),
    ({}, {"networks": {"default": {"ipam": {"config": [{"gateway": "10.0.0.1"}]}}}}, "networks.default.ipam.config[0].gateway: can't be carried out"),
    ({"configs": ["site"]}, {}, "services.web.configs[0]: must name one of the file's configs"),
    ({"configs": ["site"]}, {"configs": {"site": {"file": "x"}}}, "configs.site: needs its content: name a key of a ConfigMap in spec.configs.site"),
    ({}, {"secrets": {"s": {"driver": "vault"}}}, "secrets.s.driver: can't be carried out"),
    ({}, {"volume": {}}, "volume: is not known"),
    ({}, {"include": ["other.yaml"]}, "include: can't be carried out"),
]


@pytest.mark.parametrize(("service", "rest", "expected"), PROBLEMS, ids=lambda value: value if isinstance(value, str) else None)
def test_what_is_refused_and_where(service: dict[str, Any], rest: dict[str, Any], expected: str) -> None:
    found = web(service, rest)
    assert any(str(problem).startswith(expected) for problem in found.problems), [str(problem) for problem in found.problems]
    assert found.services == () and found.networks == (), "a file with a mistake makes nothing"


@pytest.mark.parametrize(
    ("service", "place"),
    [
        ({"build": "."}, "services.web.build is ignored"),
        ({"depends_on": ["db"]}, "services.web.depends_on is ignored"),
        ({"privileged": True}, "services.web.privileged is ignored"),
        ({"restart": "no"}, "services.web.restart is ignored"),
        ({"ports": ["127.0.0.1:80:80"]}, "services.web.ports[0]: the address 127.0.0.1 is ignored"),
        ({"environment": ["A"]}, "services.web.environment.A is ignored"),
        ({"volumes": ["/a:/b:z"]}, "services.web.volumes[0]: the option z is ignored"),
        ({"networks": {"default": {"ipv4_address": "10.0.0.9"}}}, "services.web.networks.default.ipv4_address is ignored"),
    ],
)
def test_what_is_ignored_is_told(service: dict[str, Any], place: str) -> None:
    found = web(service)
    assert [warning.startswith(place) for warning in found.warnings] == [True]
    assert len(found.services) == 1


def test_two_services_must_not_be_one_object() -> None:
    found = converted("services: {a_b: {image: x}, a-b: {image: x}}")
    assert str(found.problems[0]).startswith("services.a-b: must not be named like 'a_b'")


@pytest.mark.parametrize("text", ["", "[]", "services:", "services: {}", "version: '3.8'", "x"])
def test_a_file_without_services_is_refused(text: str) -> None:
    assert converted(text).problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: {a: {image: x}, a: {image: y}}", "compose: line 1: the key 'a' occurs twice"),
        ("services: [", "compose: line 1"),
        ("services: {a: !!python/object:os.system {}}", "compose: line 1: could not determine a constructor"),
        ("a: &a {b: *a}\nservices: {a: {image: x}}", "compose: must not hold more than"),
        ("[" * 5000, "compose: "),
        ("services: {1: {image: x}}", "services: keys must be strings"),
        ("---\nservices: {}\n---\nservices: {}", "compose: "),
    ],
)
def test_a_file_that_is_no_compose_file(text: str, expected: str) -> None:
    assert any(str(problem).startswith(expected) for problem in converted(text).problems), converted(text).problems


def test_aliases_that_multiply_are_stopped() -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]", *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9))]
    assert str(converted("\n".join([*lines, "services: {a: {image: x}}"])).problems[0]).startswith("compose: must not hold more than")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("22:22", "22:22"),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("0440", 0o440),
        ("0o17", 15),
        ("1.5", 1.5),
        ("~", None),
        ("1e3", 1000.0),
    ],
)
def test_scalars_are_those_of_docker(text: str, value: object) -> None:
    assert load(f"a: {text}", {}, Notes()) == {"a": value}


def test_merge_keys() -> None:
    text = "x-base: &base {image: x, user: a}\nservices: {web: {<<: *base, user: b}}"
    assert {key: spec_of(converted(text))[key] for key in ("image", "user")} == {"image": "x", "user": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}-$$A", "1-1-$A"),
        ("${A:-x}${E:-x}${E-x}${N-x}${N:-x}", "1xxx"),
        ("${N}", ""),
        ("${A?no}${A:?no}", "11"),
        ("${A:+y}${E:+y}${E+y}${N+y}", "yy"),
        ("${N:-${A:-z}}", "1"),
        ("${N:-a b:c}", "a b:c"),
        ("no dollar", "no dollar"),
        ("{{.Node.Hostname}}", "{{.Node.Hostname}}"),
    ],
)
def test_interpolation(text: str, expected: str) -> None:
    assert interpolate(text, {"A": "1", "E": ""}, set()) == expected


@pytest.mark.parametrize("text", ["$", "a$", "${", "${A", "${}", "${1}", "$1", "${A:x}", "${N:?}", "${N?say}", "${E:?x}"])
def test_interpolation_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"needs the variable|\$"):
        interpolate(text, {"A": "1", "E": ""}, set())


def test_variables() -> None:
    text = "services: {web: {image: 'web:${TAG}', hostname: '${HOST}', environment: [DEBUG]}}"
    found = converted(text, {"TAG": "7", "DEBUG": "1"})
    assert spec_of(found)["image"] == "web:7" and spec_of(found)["env"] == [{"name": "DEBUG", "value": "1"}]
    assert found.warnings == ("the variable HOST is not set and is taken as empty",)
    assert "needs the variable TAG: say which" in str(converted("services: {web: {image: '${TAG:?say which}'}}").problems[0])
