"""The server certificates of the managers' Docker API, which last a year: looked at in time, and renewed one manager after the other. An engine reads its certificate only when it
starts, so each renewal is a restart of that engine; the tasks on it go on elsewhere or start again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.domain import times
from swarm_operator.domain.cluster.guests import configure, fixed_address, is_up
from swarm_operator.domain.cluster.machines import Machine
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import ConfigureEngine
from swarm_operator.domain.facts import Known
from swarm_operator.domain.quorum import in_transition, may_be_disturbed, raft_members

RENEW_BEFORE_SECONDS = 121 * 86400.0
"""A third of the year that a certificate lasts (`bootstrap.tls`, whose word on a certificate that was read is the one that counts)."""


def certificates_due(machines: Sequence[Machine], now: datetime) -> tuple[Machine, ...]:
    """The members among the managers whose certificate is due, or of which nothing is known (status was lost)."""
    return tuple(m for m in machines if m.id.role == "Manager" and m.joined and is_up(m) and not m.being_deleted and _due(m, now))


def renewals(spec: SwarmClusterSpec, observation: ClusterObservation, keep: Sequence[Machine], now: datetime) -> tuple[ConfigureEngine, ...]:
    """At most one, and of several managers only while all are there."""
    view = observation.swarm
    if not isinstance(view, Known):
        return ()
    nodes, members = view.value.nodes, raft_members(view.value.nodes)
    if in_transition(nodes) or any(n.reachability != "reachable" for n in members):
        return ()
    for machine in certificates_due(keep, now):
        guest, address, node = observation.guest(machine.uid), fixed_address(machine), machine.member
        if not isinstance(guest, Known) or guest.value.tls_in_force or address is None or node is None or guest.value.engine.local_state != "active":
            continue
        if len(members) == 1 or may_be_disturbed(nodes, node):
            return configure(spec, observation, machine, guest.value, address)
    return ()


def _due(machine: Machine, now: datetime) -> bool:
    expires = machine.record.engine_certificate_expires if machine.record is not None else None
    moment = times.parse(expires)
    return moment is None or (moment - now).total_seconds() < RENEW_BEFORE_SECONDS
