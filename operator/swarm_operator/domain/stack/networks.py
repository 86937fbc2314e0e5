"""`networks` of the file and of its services (docker/cli `cli/compose/convert`: compose.go, service.go)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarm_operator.domain.stack.mounts import external_name
from swarm_operator.domain.stack.parts import NAMESPACE_LABEL, Json, StackNetwork, given
from swarm_operator.domain.stack.section import Section

DEFAULT = "default"
_PREDEFINED = ("host", "bridge", "none", "ingress")
"""Networks without aliases: every engine has them."""


@dataclass(frozen=True)
class DeclaredNetwork:
    """`own` is what to make; None for an external one."""

    name: str
    own: StackNetwork | None


def declared_networks(root: Section, stack: str) -> dict[str, DeclaredNetwork]:
    """The file's networks by their names in it, with the default one."""
    section = root.section("networks")
    found = {name: _declared(section.section(name), name, stack) for name in section.names()}
    if DEFAULT not in found:
        found[DEFAULT] = DeclaredNetwork(f"{stack}_{DEFAULT}", StackNetwork(f"{stack}_{DEFAULT}", labels={NAMESPACE_LABEL: stack}))
    return found


def _declared(network: Section, name: str, stack: str) -> DeclaredNetwork:
    external, chosen = external_name(network, name)
    driver, options, labels = network.text("driver"), network.labels("driver_opts"), network.labels("labels")
    internal, attachable = network.flag("internal") or False, network.flag("attachable") or False
    ipam = network.section("ipam")
    subnet = _subnet(ipam)
    network.refuse("can't be carried out: swarm's overlay networks here are IPv4", "enable_ipv6")
    network.close()
    if external is not None:
        return DeclaredNetwork(external, None)
    if driver not in (None, "overlay"):
        network.fail("driver", f"must be overlay, not {driver}: a network of a stack reaches over all nodes. Name one of another kind as `external`")
    target = chosen or f"{stack}_{name}"
    return DeclaredNetwork(target, StackNetwork(target, options, attachable, internal, subnet, {**labels, NAMESPACE_LABEL: stack}))


def _subnet(ipam: Section) -> str | None:
    driver = ipam.text("driver")
    if driver not in (None, "default"):
        ipam.fail("driver", f"must be default, not {driver}")
    subnets = []
    for key, entry in ipam.entries("config"):
        part = Section(entry, f"{ipam.path}.{key}", ipam.notes)
        subnets.append(part.text("subnet"))
        part.refuse("can't be carried out: only `subnet` is", "gateway", "ip_range", "aux_addresses")
        part.close()
    ipam.close()
    if len(subnets) > 1:
        ipam.fail("config", "must have one entry at most")
    return subnets[0] if subnets else None


def attachments(service: Section, name: str, networks: Mapping[str, DeclaredNetwork]) -> tuple[list[Json], list[DeclaredNetwork]]:
    """The service's attachments, sorted by network, and the networks behind them. A service is known by its name on each."""
    raw = service.raw("networks")
    wanted: dict[str, object] = {}
    if isinstance(raw, list):
        wanted = dict.fromkeys(service.texts("networks"))
    elif raw is not None:
        section = service.section("networks")
        wanted = {key: section.raw(key) for key in section.names()}
    found: list[tuple[Json, DeclaredNetwork]] = []
    for key, entry in (wanted or {DEFAULT: None}).items():
        if key not in networks:
            service.fail("networks", f"names {key!r}, which the file does not declare in `networks`")
            continue
        own = Section(entry, f"{service.path}.networks.{key}", service.notes)
        aliases, options = own.texts("aliases"), own.labels("driver_opts")
        own.ignore("ipv4_address", "ipv6_address", "link_local_ips", "mac_address", "priority", "gw_priority", "interface_name")
        own.close()
        network = networks[key]
        if network.name not in _PREDEFINED:
            aliases = list(dict.fromkeys([*aliases, name]))
        found.append(({"name": network.name, **given(aliases=aliases, driverOpts=options)}, network))
    found.sort(key=lambda pair: pair[1].name)
    names = [network.name for _, network in found]
    if len(set(names)) != len(names):
        service.fail("networks", "must not name one network of the swarm twice")
    return [attachment for attachment, _ in found], [network for _, network in found]
