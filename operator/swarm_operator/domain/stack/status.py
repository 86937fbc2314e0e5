"""The conditions of a SwarmStack from what was found, and the status document. Pure.

Ready is True only when the file can be used, all of it is applied, what has left it is gone, and every SwarmService is Ready. Stalled is True only where somebody must act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from swarm_operator.api.conditions import ConditionType, Verdict, merge_conditions
from swarm_operator.api.reasons import Reason
from swarm_operator.api.stack import StackNetworkState, StackServices, StackServiceState, SwarmStackStatus
from swarm_operator.domain.facts import Unknown
from swarm_operator.domain.service.status import UNJUDGED, Finding, no, yes
from swarm_operator.domain.stack.decide import Component, Observed, Plan, ours
from swarm_operator.domain.stack.parts import Converted
from swarm_operator.engine.clock import rfc3339

C = ConditionType


@dataclass(frozen=True)
class Findings:
    """All of a SwarmStack's conditions. `ready` is given where it is not what follows from the others."""

    reachable: Finding = UNJUDGED
    valid: Finding = UNJUDGED
    ignored: Finding = UNJUDGED
    applied: Finding = UNJUDGED
    services: Finding = UNJUDGED
    reconciling: Finding = field(default_factory=lambda: no(Reason.IDLE))
    stalled: Finding = field(default_factory=lambda: no(Reason.AS_EXPECTED))
    ready: Finding | None = None
    paused: bool = False

    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict per condition."""
        named = {
            C.READY: self.ready or self._ready(),
            C.RECONCILING: self.reconciling,
            C.STALLED: self.stalled,
            C.PAUSED: yes(Reason.PAUSED) if self.paused else no(Reason.NOT_PAUSED),
            C.CLUSTER_REACHABLE: self.reachable,
            C.COMPOSE_VALID: self.valid,
            C.KEYS_IGNORED: self.ignored,
            C.SERVICES_APPLIED: self.applied,
            C.SERVICES_READY: self.services,
        }
        return tuple(Verdict(type=kind, status=f.status, reason=f.reason, message=f.message) for kind, f in named.items())

    def _ready(self) -> Finding:
        for finding in (self.valid, self.reachable, self.applied, self.services):
            if finding.status != "True":
                return no(finding.reason, finding.message)
        return yes(Reason.RECONCILED, self.services.message)


def document(previous: SwarmStackStatus, status: SwarmStackStatus, findings: Findings, generation: int, now: datetime) -> SwarmStackStatus:
    """`status` with its conditions and observedGeneration."""
    merged = merge_conditions(previous.conditions, findings.verdicts(), generation=generation, now=rfc3339(now))
    return status.model_copy(update={"conditions": merged, "observed_generation": generation})


def unusable(reason: Reason, message: str) -> Findings:
    """The spec, or what it names, can't be used: nothing of the stack is changed."""
    problem = no(reason, message)
    return Findings(valid=problem, stalled=yes(reason, message), ready=problem)


def report(previous: SwarmStackStatus, converted: Converted, observed: Observed, plan: Plan, uid: str, *, paused: bool) -> tuple[Findings, SwarmStackStatus]:
    """What there is to say after a round; `plan` is what is left to write, `observed.failures` what was refused."""
    components = {component.name: component for component in observed.owned}
    names = [service.object_name for service in converted.services] or [c.name for c in observed.owned if not c.deleting]
    states = [_state(name, components.get(name), plan, observed) for name in sorted(names)]
    leaving = [c for c in observed.owned if c.name not in names]
    reachable = no(observed.swarm.reason, observed.swarm.message) if isinstance(observed.swarm, Unknown) else yes(Reason.AS_EXPECTED)
    applied, act = _applied(converted, observed, plan, leaving, paused)
    services, broken = _services(states, components)
    findings = Findings(reachable, yes(Reason.AS_EXPECTED), _ignored(converted), applied, services, paused=paused)
    if converted.problems:
        invalid = no(Reason.INVALID_COMPOSE, "; ".join(map(str, converted.problems[:8]))[:4096])
        findings = replace(findings, valid=invalid, applied=UNJUDGED, stalled=yes(invalid.reason, invalid.message))
    elif act is not None:
        findings = replace(findings, stalled=act)
    elif broken is not None:
        findings = replace(findings, stalled=broken)
    elif not paused:
        waiting = next((f for f in (reachable, applied, services) if f.status != "True"), None)
        findings = replace(findings, reconciling=no(Reason.IDLE) if waiting is None else yes(waiting.reason, waiting.message))
    ready = sum(1 for state in states if state.ready == "True")
    status = previous.model_copy(
        update={
            "services": StackServices(total=len(states), ready=ready, summary=f"{ready}/{len(states)}"),
            "service_states": states[:512],
            "networks": previous.networks if isinstance(observed.swarm, Unknown) else _networks(plan, observed, uid),
            "warnings": [text[:512] for text in converted.warnings[:128]],
        }
    )
    return findings, status


def _state(name: str, component: Component | None, plan: Plan, observed: Observed) -> StackServiceState:
    for texts, reason in ((plan.conflicts, Reason.NAME_CONFLICT), (observed.failures, Reason.SERVICE_REFUSED)):
        if name in texts:
            return StackServiceState(name=name, ready="False", reason=reason.value, message=texts[name][:512])
    if component is None:
        return StackServiceState(name=name, ready="Unknown", reason=Reason.PROGRESSING.value, message="not applied yet")
    message = "" if component.ready == "True" else component.message[:512]
    return StackServiceState(name=name, ready=component.ready, reason=component.reason[:128] or Reason.NOT_EVALUATED.value, message=message)


def _applied(converted: Converted, observed: Observed, plan: Plan, leaving: Sequence[Component], paused: bool) -> tuple[Finding, Finding | None]:
    """ServicesApplied, and Stalled where somebody must act."""
    for texts, reason in ((plan.conflicts, Reason.NAME_CONFLICT), (plan.differing, Reason.NETWORK_DIFFERS), (observed.failures, Reason.SERVICE_REFUSED)):
        if texts:
            message = "; ".join(text for _, text in sorted(texts.items()))[:2048]
            return no(reason, message), yes(reason, message)
    if paused:
        left = sorted({*(s.object_name for s in plan.apply), *(c.name for c in plan.delete), *(n.name for n in plan.make), *(n.name for n in plan.unmake)})
        return (yes(Reason.APPLIED) if not left else no(Reason.PAUSED, f"not written while paused: {', '.join(left)}"[:1024])), None
    if leaving:
        return no(Reason.PROGRESSING, f"being removed: {', '.join(c.name for c in leaving)}"[:1024]), None
    if not plan.idle or observed.trouble:
        return no(Reason.PROGRESSING, f"being applied{f'; {observed.trouble}' if observed.trouble else ''}"), None
    return yes(Reason.APPLIED), None


def _services(states: Sequence[StackServiceState], components: dict[str, Component]) -> tuple[Finding, Finding | None]:
    """ServicesReady, and Stalled where a service is."""
    lacking = [state for state in states if state.ready != "True"]
    if not lacking:
        return yes(Reason.RECONCILED, f"{len(states)} of {len(states)} services are Ready"), None
    told = "; ".join(f"{state.name}: {state.reason}{f' ({state.message})' if state.message else ''}" for state in lacking[:8])
    message = f"{len(states) - len(lacking)} of {len(states)} services are Ready; {told}"[:2048]
    stuck = any(components[state.name].stalled for state in lacking if state.name in components)
    return no(Reason.SERVICES_NOT_READY, message), yes(Reason.SERVICES_NOT_READY, message) if stuck else None


def _ignored(converted: Converted) -> Finding:
    return yes(Reason.KEYS_IGNORED, "; ".join(converted.warnings)[:4096]) if converted.warnings else no(Reason.AS_EXPECTED)


def _networks(plan: Plan, observed: Observed, uid: str) -> list[StackNetworkState]:
    leaving: dict[str, Any] = {
        network.name: "not needed any more; removed once no service is attached to it, nor would be after a rollback" for network in plan.leaving
    }
    return [
        StackNetworkState(name=n.name, network_id=n.id, message=(plan.differing.get(n.name) or leaving.get(n.name) or "")[:512] or None)
        for n in ours(uid, observed.swarm)
    ][:256]
