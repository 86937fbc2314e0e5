"""Nova's network and block device models, as the lab's records. Plain dictionaries in, so it needs no Nova."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from swarmlab.hosts.record import Nic, Volume

DEFAULT_MTU = 1450


def nics(network_info: Iterable[Mapping[str, Any]]) -> tuple[Nic, ...]:
    """Interfaces from Nova's network_info model (nova.network.model.VIF). Only the first gateway is the default one."""
    made: list[Nic] = []
    have_gateway = False
    for vif in network_info:
        network = vif["network"]
        addresses: list[str] = []
        routes: list[tuple[str, str]] = []
        gateway = ""
        for subnet in network["subnets"]:
            length = subnet["cidr"].rpartition("/")[2]
            addresses += [f"{ip['address']}/{length}" for ip in subnet["ips"]]
            routes += [(r["cidr"], r["gateway"]["address"]) for r in subnet.get("routes", ())]
            subnet_gateway = (subnet.get("gateway") or {}).get("address")
            if subnet_gateway and subnet["ips"] and not have_gateway:
                gateway, have_gateway = subnet_gateway, True
        made.append(
            Nic(
                port_id=vif["id"],
                network_id=network["id"],
                mac=vif["address"],
                addresses=tuple(addresses),
                gateway=gateway,
                routes=tuple(routes),
                mtu=int((network.get("meta") or {}).get("mtu") or DEFAULT_MTU),
            )
        )
    return tuple(made)


def volume(connection_info: Mapping[str, Any], device: str) -> Volume:
    """A volume from Cinder's connection_info, as the lab's Cinder driver makes it."""
    data = connection_info["data"]
    return Volume(volume_id=data.get("volume_id") or connection_info["serial"], device=device, path=data["path"])


def volumes(block_device_info: Mapping[str, Any] | None) -> tuple[Volume, ...]:
    """All volumes of a server, from Nova's block_device_info."""
    mapping = (block_device_info or {}).get("block_device_mapping") or ()
    return tuple(volume(entry["connection_info"], entry["mount_device"]) for entry in mapping if entry["connection_info"])
