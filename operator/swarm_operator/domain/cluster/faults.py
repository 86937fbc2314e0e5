"""How failed creates are read and how long they are left alone before the next try."""

from __future__ import annotations

import re
from typing import Final

from swarm_operator.api.cluster_status import MachineStatus
from swarm_operator.api.reasons import Reason

REFUSED_SECONDS = 30.0
"""Pause after a create that the cloud refused for quota, capacity, policy or its content."""
_CAP_SECONDS = 300.0


_NO_ADDRESSES: Final = re.compile(
    r"no more ip addresses available|no fixed ip addresses available|unable to find (?:any )?ip address on external network", re.I
)
"""Neutron's IpAddressGenerationFailure and ExternalIpAddressExhausted, and Nova's NoMoreFixedIps."""


def tells_of_addresses(text: str) -> bool:
    """Whether a subnet has no free address, in the words of Neutron or Nova."""
    return _NO_ADDRESSES.search(text) is not None


def fault_reason(fault: str | None) -> Reason:
    """The class of Nova's fault text, to which the adapter adds the fault's code. "No valid host" is the scheduler's (nova.exception.NoValidHost); quota faults name the word,
    or have the code 413 of Nova's OverQuota and PortLimitExceeded, which may come only after the POST was accepted."""
    text = (fault or "").lower()
    if tells_of_addresses(text):  # first: as last fault of all hosts it may stand behind "No valid host", or "Exceeded maximum number of retries"
        return Reason.ADDRESSES_EXHAUSTED
    if "no valid host" in text or "not enough hosts" in text:
        return Reason.NO_CAPACITY
    if "quota" in text or "exceeds" in text or "over limit" in text or text.endswith("(413)"):
        return Reason.QUOTA_EXCEEDED
    return Reason.SERVER_FAILED


def rebuild_delay(incarnation: int, fault: str | None) -> float:
    """Seconds for which a server in ERROR stays before it is deleted and made again: 10 s (30 s for quota, capacity and addresses), doubled with each incarnation, at most 300 s."""
    base = 10.0 if fault_reason(fault) is Reason.SERVER_FAILED else REFUSED_SECONDS
    return float(min(_CAP_SECONDS, base * 2.0 ** min(incarnation - 1, 10)))


def refusal(reason: Reason, message: str) -> str:
    """The text that a record carries for a create that the cloud refused."""
    return f"{reason.value}: {message}"[:1024]


def refusal_of(record: MachineStatus) -> tuple[Reason, str]:
    """The inverse of `refusal`; ServerFailed for any other text."""
    head, found, tail = record.message.partition(": ")
    if found and head in Reason.__members__.values():
        return Reason(head), tail
    return Reason.SERVER_FAILED, record.message
