"""What `bootstrap.raft_backup` does on a simulated manager."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swarm_operator.domain.ownership import ENGINE_LABEL_MACHINE
from swarm_operator.ports.hosts import CommandResult

if TYPE_CHECKING:
    from simulator.guests import Guest, SimSwarm
    from simulator.world import World


def run_backup(world: World, guest: Guest, what: str, stdin: bytes) -> CommandResult:
    line, _, rest = stdin.partition(b"\n")
    order: dict[str, Any] = json.loads(line)
    if what == "take":
        return _answer(_take(world, guest, order))
    if what == "restore":
        return _answer(_restore(world, guest, order, rest))
    assert what == "wipe"
    guest.archive = b""
    return _answer({"wiped": True})


def _answer(found: dict[str, Any]) -> CommandResult:
    return CommandResult(0, json.dumps(found) + "\n", "")


def _take(world: World, guest: Guest, order: dict[str, Any]) -> dict[str, Any]:
    swarm = guest.swarm
    assert swarm is not None and guest.node_id in swarm.raft and swarm.quorate(world), "a copy of no manager"
    assert len(swarm.raft) == 1 or swarm.leader(world) != guest.node_id, "a copy of the leader"
    assert len(swarm.reachable(world)) == len(swarm.raft), "a copy while a manager is away"
    if world.copies_torn:
        return {"failed": "the scratch engine ended: corrupt"}
    if guest.kek[0] and guest.kek[0] not in order["unlock_keys"]:
        return {"failed": "none of the unlock keys opens it"}
    content = f"{swarm.id}/{order['name']}/{guest.server.id}".encode()
    if guest.archive != content:
        world.copies_taken.append(guest.server.request.name)
        guest.archive = content
        world.raft_copies[content.decode()] = _still(swarm)
    counts = {"nodes": len(swarm.nodes), "services": len(swarm.attached) + len(swarm.services), "secrets": 2, "configs": 0, "networks": 1 + len(swarm.networks)}
    return {
        "archive": "/archive",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "engine": "20.10.24",
        "swarm_id": swarm.id,
        "locked": bool(guest.kek[0]),
        "verified": order["verify"],
        "frozen_ms": 50,
        "counts": counts,
    }


def _still(swarm: SimSwarm) -> SimSwarm:
    """What raft holds, without the guests."""
    kept = copy.copy(swarm)
    kept.raft = dict.fromkeys(swarm.raft, None)  # type: ignore[arg-type]
    for name in ("nodes", "networks", "attached", "services", "tasks", "demands", "issuers", "away_since"):
        setattr(kept, name, copy.deepcopy(getattr(swarm, name)))
    kept.raft_changes = list(swarm.raft_changes)
    return kept


def _restore(world: World, guest: Guest, order: dict[str, Any], archive: bytes) -> dict[str, Any]:
    if hashlib.sha256(archive).hexdigest() != order["sha256"]:
        return {"failed": "the archive is not what was backed up"}
    living = [g for g in world.guests.values() if g is not guest and world.alive(g) and g.swarm is not None and g.node_id in g.swarm.raft]
    assert not living, "a swarm was restored beside its managers"
    if guest.restored != order["name"]:
        swarm = _still(world.raft_copies[archive.decode()])
        node_id = next(iter(swarm.raft))
        swarm.raft = {node_id: guest}
        guest.swarm, guest.node_id, guest.restored = swarm, node_id, order["name"]
        swarm.raft_changes.append(f"restore {guest.server.request.name}")
        swarm.nodes[node_id] = replace(
            swarm.nodes[node_id],
            hostname=guest.server.request.name,
            address=guest.server.address,
            machine_uid=guest.labels()[ENGINE_LABEL_MACHINE],
            state="ready",
        )
        for other in world.guests.values():  # workers come back to the addresses that they know
            if other is not guest and other.swarm is not None and other.swarm.id == swarm.id and other.node_id in swarm.nodes:
                other.swarm = swarm
    assert guest.swarm is not None
    return {"counts": {"nodes": len(guest.swarm.nodes), "services": len(guest.swarm.attached)}}
