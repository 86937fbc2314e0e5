"""`kubectl swarm wait`: until a condition holds, with what goes on meanwhile.

Beyond `kubectl wait`: it shows the machines and tasks that are waited for, holds a condition for true only when it is of the present generation, and ends at once where the operator says that
no retry can help (Stalled).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from swarm_operator.cli.context import PLURALS, Context, target, wrong
from swarm_operator.cli.view import tree
from swarm_operator.domain.errors import ErrorKind, ExternalError

Json = dict[str, Any]
POLL_SECONDS: Final = 1.0
_TRANSIENT: Final = (ErrorKind.TRANSIENT, ErrorKind.UNREACHABLE, ErrorKind.RATE_LIMITED)


def wait(context: Context) -> int:
    """0 when the condition holds; raises INVALID after the time, or where nothing more can be hoped for."""
    arguments = context.arguments
    kind, name = target(arguments.target)
    holds = _condition(arguments.condition)
    begun, show = time.monotonic(), _Display(context)
    while True:
        waited = time.monotonic() - begun
        try:
            item: Json | None = context.api.get(PLURALS[kind], context.namespace, name)
        except ExternalError as error:
            if error.kind in _TRANSIENT and waited < arguments.timeout:
                time.sleep(POLL_SECONDS)
                continue
            if error.kind is not ErrorKind.NOT_FOUND or arguments.condition != "delete":
                raise
            item = None
        show(kind, item, waited)
        if holds(item):
            context.out.write(f"{kind} {context.namespace}/{name}: {arguments.condition} after {waited:.0f} s\n")
            return 0
        if arguments.condition == "Ready" and item is not None and (stalled := _current(item, "Stalled")) is not None and stalled["status"] == "True":
            raise wrong(f"{kind} {name} is stalled: {stalled['reason']}: {stalled.get('message', '')}")
        if waited >= arguments.timeout:
            raise wrong(f"{kind} {name}: not {arguments.condition} within {arguments.timeout:g} s")
        time.sleep(POLL_SECONDS)


def _condition(text: str) -> Callable[[Json | None], bool]:
    """`delete`, a condition, or CONDITION=STATUS."""
    if text == "delete":
        return lambda item: item is None
    name, _, status = text.partition("=")

    def holds(item: Json | None) -> bool:
        found = None if item is None else _current(item, name)
        return found is not None and found["status"] == (status or "True")

    return holds


def _current(item: Json, name: str) -> Json | None:
    """The condition, where it is of the present generation."""
    status, generation = item.get("status") or {}, item["metadata"].get("generation")
    found = next((condition for condition in status.get("conditions") or [] if condition["type"] == name), None)
    return found if found is not None and status.get("observedGeneration") == generation == found.get("observedGeneration", generation) else None


class _Display:
    """On a terminal the tree of `status`, drawn over and over; else one line for each change."""

    def __init__(self, context: Context) -> None:
        self._context, self._drawn, self._said = context, 0, ""
        self._terminal = context.err.isatty()

    def __call__(self, kind: str, item: Json | None, waited: float) -> None:
        """Show it on standard error: standard output has the result."""
        err = self._context.err
        if self._terminal:
            text = "" if item is None else self._tree(kind, item)
            # CPL and ED (ECMA-48): up to the first line that was drawn, and clear from there.
            err.write((f"\x1b[{self._drawn}F\x1b[J" if self._drawn else "") + text)
            self._drawn = text.count("\n")
        else:
            line = "gone" if item is None else _summary(item)
            if line != self._said:
                err.write(f"[{waited:4.0f} s] {line}\n")
                self._said = line
        err.flush()

    def _tree(self, kind: str, item: Json) -> str:
        if kind == "cluster":
            return tree([item], [], self._context.style)
        # Without the line for the cluster that it names.
        style = self._context.style
        return (tree([], [item], style) if kind == "service" else tree([], [], style, stacks=[item])).split("\n", 1)[1]


def _summary(item: Json) -> str:
    status = item.get("status") or {}
    ready = _current(item, "Ready")
    counts = [f"{field} {status[field].get('summary', '')}" for field in ("managers", "workers", "replicas", "services") if status.get(field)]
    said = "the last change is not seen by the operator yet" if ready is None else f"{ready['reason']}: {ready.get('message', '')}".rstrip(": ")
    return "  ".join([*counts, said])
