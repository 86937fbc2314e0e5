"""Kubernetes Events: what happened to an object, for `kubectl describe`.

Equal Events (object, type, reason, message) are one Event with a count, as in client-go's EventAggregator; each object has a budget. They are sent by a thread of their own: a
slow API server does not hold up a reconcile, and a lost Event is no fault, for all that a user must know is in the status.
Does not: raise, retry, or carry secrets (messages are redacted once more).
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from swarm_operator.adapters.kubernetes.api import MERGE_PATCH, Json, KubernetesApi, segment
from swarm_operator.api.base import API_VERSION
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.engine.clock import Clock, rfc3339
from swarm_operator.ports.objects import Resource
from swarm_operator.telemetry.redaction import redact

COMPONENT: Final = "swarm-operator"
MESSAGE_LIMIT: Final = 1024
"""Characters of a message that the API server takes (validation of events.k8s.io `note`)."""

log = logging.getLogger(__name__)

_Identity = tuple[str, str, str, str]
"""(uid, type, reason, message)"""


@dataclass
class _Written:
    """An Event that the API server has (`created`) or is about to get."""

    name: str
    count: int
    patched_at: float
    created: bool = False


@dataclass
class _Budget:
    tokens: float
    at: float


class EventRecorder:
    """Thread safe. `burst` and `refill_seconds` limit the writes for one object: so many at once, then one each so many seconds.
    A repeated Event is written again at most every `repeat_seconds`; its count tells of all.
    """

    def __init__(
        self,
        api: KubernetesApi,
        clock: Clock,
        *,
        burst: int = 25,
        refill_seconds: float = 30.0,
        repeat_seconds: float = 30.0,
        remembered: int = 4096,
        count: Callable[[str, str, str], None] = lambda kind, event_type, reason: None,
    ) -> None:
        """`count` is told of each Event (kind of its object, type, reason), also of those that are not written."""
        self._api = api
        self._clock = clock
        self._count = count
        self._burst = burst
        self._refill = refill_seconds
        self._repeat = repeat_seconds
        self._remembered = remembered
        self._lock = threading.Lock()
        self._written: OrderedDict[_Identity, _Written] = OrderedDict()
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()
        self._jobs: queue.Queue[tuple[Resource, _Identity, str] | None] = queue.Queue(maxsize=1000)
        self._thread = threading.Thread(target=self._send_all, name="events", daemon=True)
        self._thread.start()

    def record(self, resource: Resource, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Never raises, never blocks; dropped when the object's budget is used up or a thousand wait."""
        try:
            self._count(resource.key.kind, "Warning" if warning else "Normal", reason.value)
            identity = (resource.uid, "Warning" if warning else "Normal", reason.value, redact(message)[:MESSAGE_LIMIT])
            if self._admit(identity, _name(resource)):
                self._jobs.put_nowait((resource, identity, rfc3339(self._clock.now())))
        except queue.Full:
            log.warning("event %s of %s dropped: too many wait", reason.value, resource.key)
        except Exception:
            log.exception("event %s of %s dropped", reason.value, resource.key)

    def flush(self) -> None:
        """Wait until all that was recorded has been sent or given up. For tests."""
        self._jobs.join()

    def close(self, timeout: float = 3.0) -> None:
        """Send what waits, within `timeout` seconds."""
        try:
            self._jobs.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _admit(self, identity: _Identity, name: str) -> bool:
        """Count the Event; whether to write it now."""
        now = self._clock.monotonic()
        with self._lock:
            written = self._written.get(identity)
            if written is not None:
                self._written.move_to_end(identity)
                written.count += 1
                if now - written.patched_at < self._repeat:
                    return False
            if not self._spend(identity[0], now):
                return False
            if written is not None:
                written.patched_at = now
                return True
            self._written[identity] = _Written(name, 1, now)
            if len(self._written) > self._remembered:
                self._written.popitem(last=False)
            return True

    def _spend(self, uid: str, now: float) -> bool:
        budget = self._budgets.setdefault(uid, _Budget(tokens=self._burst, at=now))
        self._budgets.move_to_end(uid)
        if len(self._budgets) > self._remembered:
            self._budgets.popitem(last=False)
        budget.tokens = min(self._burst, budget.tokens + (now - budget.at) / self._refill)
        budget.at = now
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True

    def _send_all(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._send(*job)
            except ExternalError as error:
                # A namespace that is being deleted refuses new Events: nothing to tell anybody.
                log.log(logging.DEBUG if error.kind in (ErrorKind.FORBIDDEN, ErrorKind.NOT_FOUND) else logging.WARNING, "event not recorded: %s", error)
            except Exception:
                log.exception("event not recorded")
            finally:
                self._jobs.task_done()
        self._jobs.task_done()

    def _send(self, resource: Resource, identity: _Identity, at: str) -> None:
        with self._lock:
            written = self._written.get(identity)
            # Forgotten by now only if thousands of others came meanwhile.
            name, count, created = (written.name, written.count, written.created) if written is not None else (_name(resource), 1, False)
        namespace = resource.key.namespace
        if created:
            try:
                patch: Json = {"count": count, "lastTimestamp": at}
                self._api.call("patch_event", "PATCH", f"{_path(namespace)}/{segment(name)}", body=patch, media_type=MERGE_PATCH)
                return
            except ExternalError as error:
                # The API server forgets Events after an hour (--event-ttl): write it anew, under the same name.
                if error.kind is not ErrorKind.NOT_FOUND:
                    raise
        try:
            self._api.call("create_event", "POST", _path(namespace), body=_manifest(resource, identity, name, count, at))
        except ExternalError:
            with self._lock:
                self._written.pop(identity, None)
            raise
        with self._lock:
            if written is not None:
                written.created = True


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{segment(namespace)}/events"


def _name(resource: Resource) -> str:
    suffix = uuid.uuid4().hex[:16]
    # Names end at 253 characters; a cut must not end in a dot or dash before the suffix.
    return f"{resource.key.name[: 253 - len(suffix) - 1].rstrip('.-')}.{suffix}"


def _manifest(resource: Resource, identity: _Identity, name: str, count: int, at: str) -> Json:
    uid, event_type, reason, message = identity
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": resource.key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": resource.key.kind,
            "namespace": resource.key.namespace,
            "name": resource.key.name,
            "uid": uid,
            "resourceVersion": resource.resource_version,
        },
        "type": event_type,
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": count,
    }
