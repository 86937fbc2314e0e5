"""Canonical forms of ServiceSpec values: two raw values mean the same to the engine exactly when their canonical forms are equal.

Each function takes the raw JSON value of one leaf, None where the key is absent, and returns a hashable or plainly comparable value. Durations are nanoseconds, as
in the Docker Engine API. Sources of the rules: moby `daemon/cluster/convert/{service,container}.go` (what is stored and read back) and swarmkit
`api/defaults/service.go` (what an absent value means).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

SECOND = 1_000_000_000
Raw = Any
Canon = Any


@dataclass(frozen=True)
class Image:
    """An image reference, familiar form (no `docker.io/library/`); `tag` is "" beside a digest where none was written."""

    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def image(raw: Raw) -> Image:
    """distribution/reference `ParseNormalizedNamed`, `FamiliarName` and `TagNameOnly`: the default registry and `library/` are left out, `latest` is filled in."""
    rest, _, digest = str(raw or "").partition("@")
    slash, colon = rest.rfind("/"), rest.rfind(":")
    name, tag = (rest[:colon], rest[colon + 1 :]) if colon > slash else (rest, "")
    name = re.sub(r"^(docker\.io|index\.docker\.io)/", "", name)
    if name.count("/") == 1:
        name = re.sub(r"^library/", "", name)
    return Image(name, tag or ("" if digest else "latest"), digest)


def open_digest(live: Image, desired: Image) -> Image:
    """The live reference without what the desired one leaves open: a client pins a digest behind a tag at deployment, and a digest needs no tag."""
    if not desired.digest:
        return Image(live.name, live.tag or desired.tag, "") if live.digest and not live.tag else Image(live.name, live.tag, "")
    return Image(live.name, live.tag if desired.tag else "", live.digest)


def text(raw: Raw) -> str:
    """A string; absent and empty are one."""
    return str(raw or "")


def sequence(raw: Raw) -> tuple[str, ...]:
    """A list whose order matters; absent and empty are one (protobuf does not tell them apart)."""
    return tuple(raw or ())


def string_map(raw: Raw) -> dict[str, str]:
    """A map of strings; absent and empty are one."""
    return dict(raw or {})


def environment(raw: Raw) -> dict[str, str | None]:
    """Variables by name. `KEY` without `=` (unset a variable of the image) is None and differs from `KEY=`. Of duplicates the last holds, as in the container."""
    out: dict[str, str | None] = {}
    for entry in raw or ():
        name, equals, value = str(entry).partition("=")
        out[name] = value if equals else None
    return out


def constraints(raw: Raw) -> frozenset[str]:
    """Placement constraints without their optional white space; order does not matter."""
    return frozenset(re.sub(r"^\s*(\S+?)\s*(==|!=)\s*(.*?)\s*$", r"\1\2\3", str(entry)) for entry in raw or ())


def preferences(raw: Raw) -> tuple[str, ...]:
    """Spread descriptors, in order."""
    return tuple(str((entry.get("Spread") or {}).get("SpreadDescriptor", "")) for entry in raw or ())


def networks(raw: Raw) -> dict[str, tuple[frozenset[str], frozenset[tuple[str, str]]]]:
    """Attachments by network id: aliases and driver options, both without order."""
    return {str(entry.get("Target", "")): (frozenset(entry.get("Aliases") or ()), frozenset((entry.get("DriverOpts") or {}).items())) for entry in raw or ()}


def config_files(raw: Raw) -> dict[str, tuple[str, str, str, int]]:
    """Configs by target: name, owner, group and mode. Ids are left out: they follow from the name. One for the runtime (a credential spec) has no target."""
    return {str(e["File"].get("Name", "")) if e.get("File") else f"runtime {e.get('ConfigName', '')}": _file("ConfigName", e) for e in raw or ()}


def secret_files(raw: Raw) -> dict[str, tuple[str, str, str, int]]:
    """Secrets by target: name, owner, group and mode."""
    return {str((e.get("File") or {}).get("Name", "")): _file("SecretName", e) for e in raw or ()}


def _file(name: str, entry: Raw) -> tuple[str, str, str, int]:
    file = entry.get("File") or {}
    return str(entry.get(name, "")), str(file.get("UID") or ""), str(file.get("GID") or ""), int(file.get("Mode") or 0)


def platforms(raw: Raw) -> frozenset[tuple[str, str]]:
    """Platforms without order."""
    return frozenset((str(p.get("Architecture") or ""), str(p.get("OS") or "")) for p in raw or ())


def ports(raw: Raw) -> frozenset[tuple[str, str, int, int, str]]:
    """Published ports without order. Protocol "" is tcp and PublishMode "" is ingress (zero values of the enums). A port that the swarm chose is not in the Spec."""
    return frozenset(
        (
            str(p.get("Name") or ""),
            str(p.get("Protocol") or "tcp"),
            int(p.get("TargetPort") or 0),
            int(p.get("PublishedPort") or 0),
            str(p.get("PublishMode") or "ingress"),
        )
        for p in raw or ()
    )


def endpoint_mode(raw: Raw) -> str:
    """ "" is vip."""
    return str(raw or "vip")


def count(raw: Raw) -> int:
    """A number whose absence is 0."""
    return int(raw or 0)


def replicas(raw: Raw) -> int:
    """An absent number of replicas is 1."""
    return 1 if raw is None else int(raw)


def stop_grace_period(raw: Raw) -> int:
    """Absent is 10 s; 0 is 0."""
    return 10 * SECOND if raw is None else int(raw)


def float32(value: float) -> float:
    """The value after a trip through the engine's float32 (0.15 reads back as 0.15000000596)."""
    (narrowed,) = struct.unpack("f", struct.pack("f", value))
    return float(narrowed)


def update_config(raw: Raw) -> dict[str, Any]:
    """UpdateConfig and RollbackConfig. An absent struct has parallelism 1; within a struct 0 is all at once. Monitor 0 and absent are 5 s."""
    config = {"Parallelism": 1} if raw is None else raw
    return {
        "Parallelism": int(config.get("Parallelism") or 0),
        "Delay": int(config.get("Delay") or 0),
        "FailureAction": str(config.get("FailureAction") or "pause"),
        "Monitor": int(config.get("Monitor") or 5 * SECOND),
        "MaxFailureRatio": float32(float(config.get("MaxFailureRatio") or 0.0)),
        "Order": str(config.get("Order") or "stop-first"),
    }


def restart_policy(raw: Raw) -> dict[str, Any]:
    """RestartPolicy. Condition "" is any; an absent delay is 5 s while 0 is none."""
    policy = raw or {}
    delay = policy.get("Delay")
    return {
        "Condition": str(policy.get("Condition") or "any"),
        "Delay": 5 * SECOND if delay is None else int(delay),
        "MaxAttempts": int(policy.get("MaxAttempts") or 0),
        "Window": int(policy.get("Window") or 0),
    }
