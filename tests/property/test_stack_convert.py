"""Properties of the conversion of compose files: what is supported makes valid SwarmServices, what is not known is named, and no text is a surprise."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_operator.api.parse import parse_service
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.api.validation import validate_service
from swarm_operator.domain.stack.convert import convert
from swarm_operator.domain.stack.parts import StackInput

words = st.text("abcXYZ019-_./{} =é:", min_size=1, max_size=8).map(str.strip).filter(bool)
names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
labels = st.dictionaries(names, words, max_size=3) | st.lists(st.builds("{}={}".format, names, words), max_size=3)
durations = st.builds("{}{}".format, st.integers(1, 50), st.sampled_from(["s", "m", "h"]))
sizes = st.builds("{}{}".format, st.integers(8, 900), st.sampled_from(["m", "M", "mb", "g"]))
cpus = st.integers(1, 9000).map(lambda n: str(n / 1000))


def optional(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=parts)


rollout = optional(
    parallelism=st.integers(0, 9),
    delay=durations,
    monitor=durations,
    failure_action=st.sampled_from(["pause", "continue"]),
    max_failure_ratio=st.integers(0, 100).map(lambda n: n / 100),
    order=st.sampled_from(["start-first", "stop-first"]),
)
amounts = optional(cpus=cpus, memory=sizes)
shared_deploy = {
    "labels": labels,
    "resources": optional(limits=amounts, reservations=amounts),
    "restart_policy": optional(condition=st.sampled_from(["none", "on-failure"]), delay=durations, max_attempts=st.integers(0, 9), window=durations),
    "placement": optional(constraints=st.lists(st.builds("node.labels.{}=={}".format, names, names), max_size=2)),
}
deploys = st.one_of(
    optional(**shared_deploy, mode=st.just("replicated"), replicas=st.integers(0, 9), update_config=rollout, rollback_config=rollout),
    optional(**shared_deploy, update_config=rollout).map(lambda d: {**d, "mode": "global"}),
    optional(**shared_deploy).map(lambda d: {**d, "mode": "replicated-job"}),
)
ports = st.lists(st.integers(1, 60000), max_size=3, unique=True).flatmap(
    lambda found: st.just([f"{port}:{index + 1}/tcp" if index % 2 else {"target": index + 1, "published": port} for index, port in enumerate(found)])
)
volumes = st.lists(
    st.sampled_from(["data:/a", "/host:/b:ro", "/c", {"type": "tmpfs", "target": "/d"}, {"type": "bind", "source": "/x", "target": "/e"}]), max_size=5
)
services = st.fixed_dictionaries(
    {"image": st.sampled_from(["web", "registry.example:5000/a/b:1.2", "a/b@sha256:" + "0" * 64])},
    optional={
        "command": words | st.lists(words, max_size=3),
        "environment": labels,
        "labels": labels,
        "user": names,
        "working_dir": st.just("/srv"),
        "tty": st.booleans(),
        "read_only": st.booleans(),
        "init": st.booleans(),
        "stop_grace_period": durations,
        "ulimits": st.dictionaries(st.sampled_from(["nofile", "nproc"]), st.integers(1, 99) | st.just({"soft": 1, "hard": 2})),
        "sysctls": st.just({"net.core.somaxconn": 9}),
        "cap_add": st.lists(st.sampled_from(["ALL", "net_admin", "CAP_KILL"]), max_size=2, unique=True),
        "cap_drop": st.lists(st.sampled_from(["ALL", "chown", "CAP_KILL"]), max_size=2, unique=True),
        "extra_hosts": st.just(["db:10.0.0.1"]),
        "dns": st.sampled_from(["192.0.2.1", ["192.0.2.1", "192.0.2.2"]]),
        "healthcheck": st.just({"disable": True}) | optional(test=words.map(lambda w: ["CMD", w]), interval=durations, retries=st.integers(0, 9)),
        "logging": st.just({"driver": "json-file", "options": {"max-size": "1m"}}),
        "networks": st.sampled_from([["front"], ["front", "default"], {"front": {"aliases": ["x"]}}, {"front": None}]),
        "ports": ports,
        "volumes": volumes.map(lambda found: [v for i, v in enumerate(found) if v not in found[:i]]),
        "configs": st.sampled_from([["site"], [{"source": "site", "target": "/etc/site", "mode": 0o440}]]),
        "deploy": deploys,
        "x-note": words,
    },
)
files = st.fixed_dictionaries(
    {
        "services": st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), services, min_size=1, max_size=3),
        "networks": st.just({"front": {"attachable": True}}),
        "volumes": st.just({"data": None}),
        "configs": st.just({"site": {"file": "./site"}}),
    }
)


def converted(file: Any) -> Any:
    text = yaml.safe_dump(file).replace("$", "$$")
    return convert(text, StackInput("shop", "shop", {"clusterRef": {"name": "blue"}}, {}, {"site": {"name": "m", "key": "k"}}))


@given(files)
@settings(max_examples=60, deadline=None)
def test_what_is_supported_makes_valid_services(file: dict[str, Any]) -> None:
    found = converted(file)
    assert found.problems == (), [str(problem) for problem in found.problems]
    assert {service.name for service in found.services} == set(file["services"])
    made = {network.name for network in found.networks}
    known = {field.alias for field in SwarmServiceSpec.model_fields.values()}
    for service in found.services:
        spec = parse_service(service.spec)
        assert validate_service(spec) == []
        # Nothing that the API server would prune, and nothing that says what is said anyway: else the operator would apply it for ever.
        assert set(service.spec) <= known
        assert json.loads(json.dumps(service.spec)) == service.spec
        full = spec.to_manifest()
        assert all(contains(full[key], value) for key, value in service.spec.items())
        assert {network.name for network in spec.networks} <= made


def contains(full: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(full, dict) and all(key in full and contains(full[key], value) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(full, list) and len(full) == len(part) and all(contains(a, b) for a, b in zip(full, part, strict=True))
    return bool(full == part)


@given(files, st.sampled_from([(), ("deploy",), ("deploy", "resources"), ("healthcheck",), ("logging",), ("deploy", "placement")]))
@settings(max_examples=60, deadline=None)
def test_a_key_that_nobody_knows_is_named_wherever_it_is(file: dict[str, Any], place: tuple[str, ...]) -> None:
    name = sorted(file["services"])[0]
    target = file["services"][name]
    for key in place:
        target = target.setdefault(key, {})
    target["surprise"] = "x"
    field = ".".join(["services", name, *place, "surprise"])
    assert field in {problem.field for problem in converted(file).problems}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | names, inner, max_size=3),
)
keys = st.sampled_from(
    ["image", "ports", "volumes", "deploy", "networks", "environment", "configs", "healthcheck", "ulimits", "logging", "extra_hosts", "tmpfs", "restart"]
)


@given(
    st.fixed_dictionaries(
        {"services": st.dictionaries(names, st.dictionaries(keys, plain)) | plain}, optional={"networks": plain, "volumes": plain, "secrets": plain}
    )
)
@settings(max_examples=120, deadline=None)
def test_no_data_is_a_surprise(file: Any) -> None:
    found = converted(file)
    assert bool(found.services) != bool(found.problems)


@given(st.text(max_size=60) | st.text("{}[]&*!:-\n ab$\"'<", max_size=40))
@settings(max_examples=120, deadline=None)
def test_no_text_is_a_surprise(text: str) -> None:
    found = convert(text, StackInput("shop", "shop", {"clusterRef": {"name": "blue"}}))
    assert bool(found.services) != bool(found.problems)
