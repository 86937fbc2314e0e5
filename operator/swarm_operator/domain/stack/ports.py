"""`ports` of a service (docker/go-connections `nat`, docker/cli `opts/swarmopts/port.go`)."""

from __future__ import annotations

import re
from typing import Final

from swarm_operator.domain.stack.parts import Json, given
from swarm_operator.domain.stack.section import Section

_SHORT: Final = re.compile(r"(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?([0-9]*(?:-[0-9]+)?):)?([0-9]+(?:-[0-9]+)?)(?:/([a-zA-Z]+))?")


def ports_of(service: Section) -> list[Json]:
    """In the order of the file, ranges spelled out."""
    found: list[Json] = []
    for key, entry in service.entries("ports"):
        if isinstance(entry, dict):
            found += _long(Section(entry, f"{service.path}.{key}", service.notes))
        elif isinstance(entry, bool) or not isinstance(entry, str | int):
            service.fail(key, "must be a string, a number or a mapping")
        else:
            found += _short(service, key, str(entry))
    return found


def _long(port: Section) -> list[Json]:
    target, protocol, mode, name = port.integer("target"), port.text("protocol"), port.text("mode"), port.text("name")
    published = port.integer("published")
    port.ignore("host_ip", why="swarm publishes on all addresses of a node")
    port.ignore("app_protocol")
    port.close()
    if target is None:
        if not port.has("target"):
            port.fail("target", "is required")
        return []
    return [given(targetPort=target, publishedPort=published or None, protocol=protocol, publishMode=mode, name=name)]


def _short(service: Section, key: str, text: str) -> list[Json]:
    """`[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`, each port possibly a range."""
    match = _SHORT.fullmatch(text)
    if match is None:
        service.fail(key, f"must have the form [[IP:]PUBLISHED:]TARGET[/PROTOCOL], not {text!r}")
        return []
    address, outside, inside, protocol = match.groups()
    if address is not None:
        service.notes.ignored.append(f"{service.path}.{key}: the address {address} is ignored, swarm publishes on all addresses of a node")
    targets, published = _range(inside), _range(outside or "")
    if not targets or (outside and not published) or max([*targets, *published]) > 65535:
        service.fail(key, f"must name ports from 1 to 65535, lower end first, not {text!r}")
        return []
    common = given(protocol=protocol.lower() if protocol else None)
    if not published:
        return [{"targetPort": target, **common} for target in targets]
    if len(targets) == 1:
        return [{"targetPort": targets[0], "publishedPort": port, **common} for port in published]
    if len(targets) != len(published):
        service.fail(key, f"must have ranges of the same length, unlike {text!r}")
        return []
    return [{"targetPort": target, "publishedPort": port, **common} for target, port in zip(targets, published, strict=True)]


def _range(text: str) -> list[int]:
    low, dash, high = text.partition("-")
    if not low or len(low) > 5 or len(high) > 5:
        return []
    return list(range(int(low), int(high if dash else low) + 1))
