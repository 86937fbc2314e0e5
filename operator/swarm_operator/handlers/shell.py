"""kopf as the process shell: it logs in and watches; a handler for each kind turns events into keys. The only module that imports kopf.

No change handlers, timers or daemons: they would write annotations and finalizers on the objects, and lose or mix updates under load (kopf issues #1178, #1087, #838).
Does not: write to any object.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

import kopf

from swarm_operator.adapters.kubernetes.login import bearer_token, expire_token
from swarm_operator.adapters.kubernetes.objects import PLURALS
from swarm_operator.api.base import GROUP, VERSION
from swarm_operator.handlers.watch import EventSink
from swarm_operator.ports.objects import KINDS, Kind

UNUSED_FINALIZER = f"{GROUP}/kopf-unused"
"""Must never appear on an object: no handler is registered that makes kopf add its finalizer."""

log = logging.getLogger(__name__)


class SilentWatches(logging.Filter):
    """Counts the watches that kopf opens anew because nothing came for `inactivity_timeout`. kopf tells of that by a debug line only; the line goes where it would have gone."""

    LOGGER = "kopf._cogs.clients.watching"

    def __init__(self, count: Callable[[], None]) -> None:
        super().__init__()
        self._count = count

    def filter(self, record: logging.LogRecord) -> bool:
        if "is inactive" in record.getMessage():
            self._count()
        return record.levelno >= logging.getLogger().level


def count_silent_watches(count: Callable[[], None]) -> None:
    """Call `count` for each. In place of what was to be called before."""
    logger = logging.getLogger(SilentWatches.LOGGER)
    for former in [found for found in logger.filters if isinstance(found, SilentWatches)]:
        logger.removeFilter(former)
    logger.setLevel(logging.DEBUG)
    logger.addFilter(SilentWatches(count))


class Shell:
    """Runs kopf in the main thread until a signal comes or `stop` is called."""

    def __init__(self, configuration: Any, namespaces: tuple[str, ...], sink: EventSink, on_signal: Callable[[], None]) -> None:
        """`configuration` as from `login.load_configuration`; `on_signal` is called in the loop's thread when SIGTERM or SIGINT comes, and must be quick."""
        self._namespaces = namespaces
        self._on_signal = on_signal
        self._registry = _registry(configuration, sink)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready: asyncio.Event | None = None
        self._heartbeat = float("-inf")
        self._stopping = False

    def run(self, monotonic: Callable[[], float]) -> None:
        """Blocks. Returns when it was stopped; raises what ended kopf otherwise, RuntimeError when it ended by itself."""
        asyncio.run(self._run(monotonic))
        if not self._stopping:
            raise RuntimeError("the watch ended by itself")

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._stopping = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    @property
    def ready(self) -> bool:
        """Whether kopf has started its watches."""
        return self._ready is not None and self._ready.is_set()

    @property
    def heartbeat(self) -> float:
        """When the loop last had time, on the clock given to `run`."""
        return self._heartbeat

    async def _run(self, monotonic: Callable[[], float]) -> None:
        self._loop, self._stop, self._ready = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        if self._stopping:
            return
        pulse = asyncio.create_task(self._beat(monotonic))
        ours = asyncio.all_tasks()
        try:
            # kopf.operator in its two halves: the first one takes the signals, which are to be ours, for the queue is to close first.
            # The identity is for peering, which is off; without one kopf asks for the name of our user, and in a container there may be none.
            identity: Any = "swarm-operator"
            tasks = await kopf.spawn_tasks(
                identity=identity,
                registry=self._registry,
                settings=settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=self._stop,
                ready_flag=self._ready,
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._signalled, number)
            await kopf.run_tasks(tasks, ignored=ours)
        finally:
            pulse.cancel()

    async def _beat(self, monotonic: Callable[[], float]) -> None:
        while True:
            self._heartbeat = monotonic()
            await asyncio.sleep(1)

    def _signalled(self, number: signal.Signals) -> None:
        log.info("%s: ending", number.name)
        self._on_signal()
        self.stop()


def settings() -> kopf.OperatorSettings:
    """kopf's settings: nothing posted, nothing scanned, no peering; timeouts on everything."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.networking.connect_timeout = 5
    chosen.networking.request_timeout = 30
    # A watch ends and starts anew at least every five minutes. Half-open connections are found before: the server sends a bookmark each minute or so.
    chosen.watching.inactivity_timeout = 70
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 5
    chosen.watching.reconnect_backoff = 1.0
    chosen.process.ultimate_exiting_timeout = 25
    chosen.persistence.finalizer = UNUSED_FINALIZER
    # Never written, for there are no change handlers; named so that a mistake would show under our own group.
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    return chosen


def connection_info(configuration: Any) -> kopf.ConnectionInfo:
    """kopf's form of the login that the adapter uses too, with the token of now (kopf logs in again after a 401)."""
    expire_token(configuration)
    token = bearer_token(configuration)
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        username=configuration.username or None,
        password=configuration.password or None,
        scheme="Bearer" if token else None,
        token=token,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


def _registry(configuration: Any, sink: EventSink) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection_info(configuration)

    def watch(kind: Kind) -> None:
        @kopf.on.event(GROUP, VERSION, PLURALS[kind], registry=registry, id=f"seen-{kind}")
        async def seen(event: Any, **_: Any) -> None:
            sink(kind, event["type"], event["object"])

    for kind in KINDS:
        watch(kind)
    return registry
