"""Canonical forms of the container's and the task's further leaves; see `canonical` for what a canonical form is.

Sources: moby `daemon/cluster/convert/container.go` (mounts, privileges, isolation, hosts, health check) and docker/cli `opts/capabilities.go`.
"""

from __future__ import annotations

from typing import Any

from swarm_operator.domain.service.canonical import Canon, Raw


def boolean(raw: Raw) -> bool:
    """Absent is false."""
    return bool(raw)


def tristate(raw: Raw) -> bool | None:
    """Absent leaves it to the engine's setting."""
    return None if raw is None else bool(raw)


def open_tristate(live: Canon, desired: Canon) -> Canon:
    """The Docker CLI writes `false` where nothing was asked for: beside a manifest that leaves it open that is no difference."""
    return None if desired is None and live is False else live


def word_set(raw: Raw) -> frozenset[str]:
    """Words without order."""
    return frozenset(str(entry) for entry in raw or ())


def isolation(raw: Raw) -> str:
    """ "" is stored as `default`."""
    return str(raw or "default")


def capabilities(raw: Raw) -> frozenset[str]:
    """Upper case with CAP_, without order; ALL holds every other. The engine keeps what a client wrote, the CLI writes CAP_X."""
    names = frozenset(name if name == "ALL" else "CAP_" + name.removeprefix("CAP_") for name in (str(entry).upper() for entry in raw or ()))
    return frozenset({"ALL"}) if names & {"ALL", "CAP_ALL"} else names


def ulimits(raw: Raw) -> dict[str, tuple[int, int]]:
    """Soft and hard by name."""
    return {str(entry.get("Name", "")): (int(entry.get("Soft") or 0), int(entry.get("Hard") or 0)) for entry in raw or ()}


def hosts(raw: Raw) -> dict[str, tuple[str, ...]]:
    """Addresses by host name; their order matters for one name only. An entry is "IP name [name...]"."""
    out: dict[str, tuple[str, ...]] = {}
    for entry in raw or ():
        address, *names = str(entry).split()
        for name in names:
            out[name] = (*out.get(name, ()), address)
    return out


def generic_resources(raw: Raw) -> dict[str, int]:
    """Amounts by kind."""
    amounts = (entry.get("DiscreteResourceSpec") or {} for entry in raw or ())
    return {str(amount["Kind"]): int(amount.get("Value") or 0) for amount in amounts if amount.get("Kind")}


def optional_count(raw: Raw) -> int | None:
    """A number that absence leaves to the engine."""
    return None if raw is None else int(raw)


def struct(raw: Raw) -> dict[str, Any]:
    """A struct without its zero values, which the engine leaves out when it reads back; an absent one is one of zero values."""
    return {key: value for key, value in (raw or {}).items() if value not in (None, "", 0, False, [], {})}


def seccomp(raw: Raw) -> dict[str, Any]:
    """Mode "" is default."""
    out = struct(raw)
    return {**out, "Mode": out.get("Mode") or "default"}


def app_armor(raw: Raw) -> str:
    """Mode "" is default, as is an absent struct."""
    return str((raw or {}).get("Mode") or "default")


def log_driver(raw: Raw) -> dict[str, Any]:
    """Name and options; nothing where the engine's default is used."""
    driver = struct(raw)
    return {"name": driver.get("Name", ""), **{f"options.{key}": value for key, value in (driver.get("Options") or {}).items()}} if driver else {}


def mounts(raw: Raw) -> dict[str, tuple[Any, ...]]:
    """Mounts by target. Type "" is bind (the zero value of the enum); propagation "" is rprivate. Options that belong to another type mean nothing and are left out."""
    return {str(entry.get("Target", "")): _mount(entry) for entry in raw or ()}


def _mount(entry: Raw) -> tuple[Any, ...]:
    kind = str(entry.get("Type") or "bind")
    common = (kind, str(entry.get("Source") or ""), bool(entry.get("ReadOnly")))
    if kind == "bind":
        options = entry.get("BindOptions") or {}
        return (*common, str(options.get("Propagation") or "rprivate"), bool(options.get("NonRecursive")))
    if kind == "volume":
        options = entry.get("VolumeOptions") or {}
        driver = options.get("DriverConfig") or {}
        labels, driver_options = options.get("Labels") or {}, driver.get("Options") or {}
        return (*common, bool(options.get("NoCopy")), frozenset(labels.items()), str(driver.get("Name") or ""), frozenset(driver_options.items()))
    if kind == "tmpfs":
        options = entry.get("TmpfsOptions") or {}
        return (*common, int(options.get("SizeBytes") or 0), int(options.get("Mode") or 0))
    return common
