"""The credentials: when they expire, and that their Secret stays as long as cleanup needs it."""

from __future__ import annotations

from datetime import datetime, timedelta

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.cluster_status import CredentialsStatus, SwarmClusterStatus
from swarm_operator.api.conditions import ConditionType, Verdict
from swarm_operator.api.reasons import Reason
from swarm_operator.domain import times
from swarm_operator.domain.cluster.observation import ClusterObservation
from swarm_operator.domain.cluster.steps import HoldCredentials, ReleaseCredentials, Step
from swarm_operator.domain.facts import Known

_NAMES = {"ApplicationCredential": "application credential", "Password": "password of user"}


def seen(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> CredentialsStatus:
    """The facts as status carries them: what Keystone said last, for it says nothing any more once they have expired."""
    known = status.credentials
    if known.secret_name is None and observation.credentials_held:
        known = known.model_copy(update={"secret_name": spec.identity_ref.secret_name})
    expiry = observation.credential_expiry
    if not isinstance(expiry, Known):
        return known
    moment = times.parse(expiry.value.expires_at)
    found = {"kind": expiry.value.kind, "id": expiry.value.id[:64], "expires_at": times.stamp(moment) if moment is not None else None}
    return known.model_copy(update=found)


def expiring(spec: SwarmClusterSpec, credentials: CredentialsStatus, observation: ClusterObservation, now: datetime) -> Verdict:
    """The condition CredentialsExpiring. Its message names the time and not what is left until then, or it would change for ever."""
    kind, moment = ConditionType.CREDENTIALS_EXPIRING, times.parse(credentials.expires_at)
    if moment is not None:
        what = f"{_NAMES.get(credentials.kind or '', 'credential')} {credentials.id}"
        act = f"put new ones into Secret {spec.identity_ref.secret_name!r}"
        if moment <= now:
            return Verdict(type=kind, status="True", reason=Reason.CREDENTIALS_EXPIRED, message=f"{what} expired at {times.stamp(moment)}: {act}")
        if moment - now <= timedelta(days=spec.identity_ref.expiry_warning_days):
            return Verdict(type=kind, status="True", reason=Reason.CREDENTIALS_EXPIRING, message=f"{what} expires at {times.stamp(moment)}: {act}")
        return Verdict(type=kind, status="False", reason=Reason.AS_EXPECTED, message=f"{what} expires at {times.stamp(moment)}")
    if isinstance(observation.credential_expiry, Known):
        return Verdict(type=kind, status="False", reason=Reason.AS_EXPECTED, message="the credentials have no expiry")
    return Verdict(type=kind, status="Unknown", reason=observation.credential_expiry.reason, message=observation.credential_expiry.message)


def hold(spec: SwarmClusterSpec, status: SwarmClusterStatus, observation: ClusterObservation) -> tuple[Step, ...]:
    """Hold the Secret before anything is made with it; let go of the one that it took the place of, once the new one is proved."""
    if not isinstance(observation.credentials, Known):
        return ()
    wanted, held = spec.identity_ref.secret_name, status.credentials.secret_name
    steps: list[Step] = []
    if not observation.credentials_held:
        steps.append(HoldCredentials(wanted))
    if held is not None and held != wanted:
        steps.append(ReleaseCredentials(held))
    return tuple(steps)
