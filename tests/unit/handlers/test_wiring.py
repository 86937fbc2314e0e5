from __future__ import annotations

import inspect
from typing import Any, cast

from swarm_operator.engine.clock import FakeClock
from swarm_operator.engine.outcome import Done
from swarm_operator.handlers.observed import ObservedSwarm, ObservedSwarms
from swarm_operator.handlers.wiring import build_core
from swarm_operator.ports.objects import Key, Objects
from swarm_operator.ports.swarm import Swarm, Swarms, TlsMaterial
from swarm_operator.telemetry.metrics import Metrics


class NoObjects:
    """An API server that holds nothing."""

    def __init__(self) -> None:
        self.asked: list[Key] = []

    def get(self, key: Key) -> None:
        self.asked.append(key)


def test_the_real_parts_fit_together_and_keys_reach_their_controller() -> None:
    objects = NoObjects()
    core = build_core(cast(Objects, objects), lambda key: None, FakeClock(), Metrics())
    keys = [Key("SwarmCluster", "ns", "c"), Key("SwarmService", "ns", "web")]
    assert [core.reconcile(key) for key in keys] == [Done(), Done()]
    assert objects.asked == keys
    for close in core.closers:
        close()


class Recorder:
    """Answers any call with its own name and arguments."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: (name, args, kwargs)


class RecorderSwarms:
    def open(self, endpoints: list[str], tls: TlsMaterial) -> Any:
        return Recorder()


def test_each_docker_call_is_passed_on_as_it_is_and_counted() -> None:
    seen: list[tuple[str, str, str]] = []
    swarms = ObservedSwarms(cast(Swarms, RecorderSwarms()), lambda system, operation, outcome, seconds: seen.append((system, operation, outcome)))
    swarm = swarms.open([], TlsMaterial(b"", b"", b""))
    names = [name for name, member in vars(Swarm).items() if inspect.isfunction(member) and not name.startswith("_")]
    assert {name for name in vars(ObservedSwarm) if not name.startswith("_")} == set(names)
    for name in names:
        parameters = [parameter for parameter in inspect.signature(getattr(Swarm, name)).parameters.values() if parameter.name != "self"]
        positional = tuple(f"<{parameter.name}>" for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD)
        keywords = {parameter.name: f"<{parameter.name}>" for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        answer = getattr(swarm, name)(*positional, **keywords)
        if inspect.signature(getattr(Swarm, name)).return_annotation != "None":
            assert answer == (name, positional, keywords)
    assert seen == [("docker", name, "ok") for name in names if name not in ("events", "close")]
