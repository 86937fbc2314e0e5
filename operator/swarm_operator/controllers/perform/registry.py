"""Which function performs which step. A create is the last thing its step sends; its id goes into status at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.domain.cluster.steps import Step
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import description

F = TypeVar("F", bound=Callable[[Action, Any], None])
_PERFORMERS: dict[type[Step], Callable[[Action, Any], None]] = {}


def performs(*kinds: type[Step]) -> Callable[[F], F]:
    """Register the decorated function for these kinds of steps; exactly one function for each."""

    def register(function: F) -> F:
        for kind in kinds:
            if kind in _PERFORMERS:
                raise AssertionError(f"{kind.__name__} is performed twice")
            _PERFORMERS[kind] = function
        return function

    return register


def performed() -> frozenset[type[Step]]:
    """The kinds of steps that can be performed."""
    return frozenset(_PERFORMERS)


def perform(action: Action, step: Step) -> None:
    """Perform one step. Raises ExternalError."""
    _PERFORMERS[type(step)](action, step)


def described(action: Action, part: str) -> str:
    """The description that marks an OpenStack object as this cluster's."""
    return description(action.uid, action.name, part)


def known_id(value: str | None, what: str) -> str:
    """`value`, or CONFLICT where what it names is not made yet."""
    if value is None:
        raise ExternalError(ErrorKind.CONFLICT, "openstack", f"there is no {what} yet", reason=Reason.INFRASTRUCTURE_PENDING)
    return value


def made_infrastructure(action: Action, what: str, made: str, **facts: object) -> None:
    """Note an object of the whole cluster that was just made: its id into status at once, then an Event."""
    action.set_infrastructure(**facts)
    action.write_status()
    action.objects.event(action.resource, Reason.CREATED, f"{what} {made}")
