"""A swarm that somebody else runs: what is said of it. Nothing of it is ever changed here."""

from __future__ import annotations

from swarm_operator.api.cluster import ExternalSpec
from swarm_operator.api.cluster_status import RoleCount, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.cluster import verdicts
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.quorum import is_quorate
from swarm_operator.domain.swarm import Node, SwarmView


def another(status: SwarmClusterStatus, view: Fact[SwarmView]) -> Unknown | None:
    """That the endpoints belong to another swarm than before: services must not be made anew in it unasked."""
    if isinstance(view, Known) and status.swarm_id not in (None, view.value.swarm_id):
        text = f"the endpoints belong to swarm {view.value.swarm_id}, before it was {status.swarm_id}; make a new SwarmCluster for another swarm"
        return Unknown(Reason.NAME_CONFLICT, text)
    return None


def external_status(
    external: ExternalSpec, status: SwarmClusterStatus, secret: Fact[None], view: Fact[SwarmView], *, paused: bool
) -> tuple[SwarmClusterStatus, tuple[Verdict, ...]]:
    """Status and conditions. `secret`: whether there is TLS material; `view`: one manager's complete answer."""
    strange = another(status, view)
    seen = view.value if isinstance(view, Known) and strange is None else None
    if seen is not None:
        status = status.model_copy(
            update={
                "swarm_id": seen.swarm_id,
                "endpoint": external.endpoints[0],
                "engine_version": seen.engine_version or None,
                "engine_api_version": seen.engine_api_version or None,
                "managers": _count(seen.nodes, "manager"),
                "workers": _count(seen.nodes, "worker"),
            }
        )
    verdict = verdicts.verdict
    parts = (
        verdicts.of_unknown(ConditionType.CREDENTIALS_VALID, secret)
        if isinstance(secret, Unknown)
        else verdict(ConditionType.CREDENTIALS_VALID, "True", Reason.AS_EXPECTED, "the swarm is external: no cloud is used"),
        verdict(ConditionType.CREDENTIALS_EXPIRING, "Unknown", Reason.NOT_EVALUATED, "the swarm is external: no cloud is used"),
        verdict(ConditionType.INFRASTRUCTURE_READY, "True", Reason.AS_EXPECTED, "the swarm is external: nothing is made for it"),
        _quorate(secret, strange, view),
        verdict(ConditionType.MEMBERS_UP_TO_DATE, "True", Reason.AS_EXPECTED, "the swarm is external: its nodes are not the operator's"),
        verdict(ConditionType.REMEDIATION_ALLOWED, "False", Reason.AS_EXPECTED, "the swarm is external: its nodes are not repaired"),
        verdict(ConditionType.DELETION_BLOCKED, "False", Reason.AS_EXPECTED),
        verdict(ConditionType.ORPHANS_FOUND, "False", Reason.AS_EXPECTED),
    )
    return status, verdicts.summary(parts, deleting=False, paused=paused, working=False)


def _quorate(secret: Fact[None], strange: Unknown | None, view: Fact[SwarmView]) -> Verdict:
    kind = ConditionType.MANAGERS_QUORATE
    if isinstance(secret, Unknown):
        return verdicts.verdict(kind, "Unknown", Reason.NOT_EVALUATED, "no certificate to ask with")
    if strange is not None:
        return verdicts.of_unknown(kind, strange)
    if isinstance(view, Unknown):
        return verdicts.of_unknown(kind, view)
    rows = [n for n in view.value.nodes if n.role == "manager"]
    if is_quorate(rows):
        return verdicts.verdict(kind, "True", Reason.QUORUM, f"{sum(n.reachability == 'reachable' for n in rows)} of {len(rows)} managers reachable")
    return verdicts.verdict(kind, "False", Reason.QUORUM_LOST, "no reachable majority of managers with a leader")


def _count(nodes: tuple[Node, ...], role: str) -> RoleCount:
    of_role = [n for n in nodes if n.role == role]
    ready = sum(n.state == "ready" for n in of_role)
    return RoleCount(desired=len(of_role), ready=ready, summary=f"{ready}/{len(of_role)}")
