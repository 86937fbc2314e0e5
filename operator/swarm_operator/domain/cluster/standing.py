"""How each machine stands to the spec: whether it is as its template says, and if not, in what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.domain import times
from swarm_operator.domain.cloud import Server
from swarm_operator.domain.cluster.machines import Machine, MachineTable, machine_spec, pools
from swarm_operator.domain.cluster.steps import StampServer, TagServer
from swarm_operator.domain.cluster.template import (
    ENGINE,
    TEMPLATE,
    EngineWhy,
    Mark,
    Template,
    Wanted,
    engine_difference,
    is_engine_mark,
    taken_over,
)
from swarm_operator.domain.facts import Known

STAMPS_AT_ONCE = 20
"""Servers without marks that are marked in one reconcile."""


@dataclass(frozen=True)
class Standing:
    """`hash`: what the server was made of, None where that is not known. `up_to_date` None: not known. `why`: the parts in which the server is not as declared.
    `engine_why`: how settings of the engine come into force that are not, `restart` or `reload`; "" where all are. They take no new server (`engine_rollout`)."""

    hash: str | None = None
    up_to_date: bool | None = None
    why: tuple[str, ...] = ()
    engine_why: EngineWhy = ""

    @property
    def outdated(self) -> bool:
        """Whether a new server is certainly needed."""
        return self.up_to_date is False and bool(self.why)

    @property
    def made_as_declared(self) -> bool:
        """Whether certainly no new server is needed; its engine may have other settings."""
        return self.up_to_date is not None and not self.why


NOT_KNOWN = Standing()


def standings(spec: SwarmClusterSpec, wanted: Wanted, machines: Sequence[Machine], now: datetime) -> dict[str, Standing]:
    """By machine UID, of all machines whose server is known to be there."""
    after = times.parse(spec.rollout.after)
    after = after if after is not None and after <= now else None
    return {m.uid: _standing(wanted.templates.get(m.id.made_as.pool), wanted.engine, m.present, after) for m in machines if m.present is not None}


def is_changing(table: MachineTable, standing: Mapping[str, Standing]) -> bool:
    """Whether machines are, or are to be, changed: then it matters what their nodes carry."""
    there = [(m.id.role, m.id.pool, m.id.slot) for m in table.machines if m.present is not None]
    return len(set(there)) < len(there) or any(s.up_to_date is False for s in standing.values())


def _standing(wanted: Template | None, engine: str, server: Server, after: datetime | None) -> Standing:
    mark = Mark.read(server.metadata)
    if mark is None or wanted is None:
        return Standing(mark.hash if mark is not None else None)
    why = () if mark.hash == wanted.hash else mark.differing(wanted) or ("template",)
    made = times.parse(server.created)
    if after is not None and made is not None and made < after:
        why = (*why, "rollout.after")
    engine_why = engine_difference(server.metadata.get(ENGINE), engine)
    return Standing(mark.hash, not why and not engine_why, why, engine_why)


def stamps(wanted: Wanted, keep: Sequence[Machine]) -> tuple[StampServer, ...]:
    """Servers that were made before there were marks are taken to be as the spec says now."""
    found: list[StampServer] = []
    for machine in keep:
        server, template = machine.present, wanted.templates.get(machine.id.made_as.pool)
        if server is None or template is None or server.status != "ACTIVE" or machine.being_deleted:
            continue
        values = {} if Mark.read(server.metadata) is not None else {TEMPLATE: template.mark}
        if not is_engine_mark(server.metadata.get(ENGINE)):
            values[ENGINE] = taken_over(server.metadata.get(ENGINE, ""), wanted.engine)
        if values:
            found.append(StampServer(Known(server), machine.uid, values))
    return tuple(found[:STAMPS_AT_ONCE])


def tags(spec: SwarmClusterSpec, keep: Sequence[Machine]) -> tuple[TagServer, ...]:
    """Tags that servers lack. One that leaves the spec stays: nobody knows from here who else has use for it."""
    wanted = {pool: frozenset(machine_spec(spec, pool).tags) for _, pool, _ in pools(spec)}
    found: list[TagServer] = []
    for machine in keep:
        server = machine.present
        if server is None or server.status != "ACTIVE" or machine.being_deleted:
            continue
        lacking = wanted.get(machine.id.pool, frozenset()) - set(server.tags)
        if lacking:
            found.append(TagServer(Known(server), machine.uid, tuple(sorted(lacking))))
    return tuple(found[:STAMPS_AT_ONCE])
