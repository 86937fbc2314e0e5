"""Hashes that are kept where an upgrade of the operator finds them again: they are the same forever."""

from __future__ import annotations

from typing import Any

import pytest

from swarm_operator.domain.cluster.machine_ports import wanted_ports
from swarm_operator.domain.digests import digest_of
from swarm_operator.domain.service.revisions import object_name
from unit.cluster.builders import UID, spec, worker


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        ({}, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        ({"b": [1, None, True], "a": {"z": "ü", "y": 1.5}}, "872b9c0180babc09de72236a405bdbe1bda55c749560790448f1935c6ab01287"),
    ],
)
def test_a_value_has_one_digest(value: dict[str, Any], digest: str) -> None:
    assert digest_of(value) == digest and digest_of(value, 12) == digest[:12]
    assert digest_of(dict(reversed(value.items()))) == digest


def test_options_of_a_port_are_known_by_their_hash() -> None:
    of = spec(machine={"flavor": {"name": "small"}, "image": {"name": "debian"}, "ports": [{"name": "main", "vnicType": "direct"}]})
    (port,) = wanted_ports(of, worker(0), UID)
    assert port.part.endswith("/c88f07d0")


def test_a_revision_keeps_its_name() -> None:
    assert object_name("web", "uid", {"image": "nginx:1"}) == "web-9649fad807"
