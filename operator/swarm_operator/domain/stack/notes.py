"""What there is to say about a compose file: what makes it unusable, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm_operator.api.parse import Problem


@dataclass
class Notes:
    """`problems` make the file unusable; `ignored` are keys that swarm can't carry out and that `docker stack deploy` ignores as well; `unset` are variables without a value.
    Places are given as in `services.web.ports[0]`."""

    problems: list[Problem] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unset: set[str] = field(default_factory=set)

    def warnings(self) -> tuple[str, ...]:
        """What did not hold up anything, a line each."""
        return (*self.ignored, *(f"the variable {name} is not set and is taken as empty" for name in sorted(self.unset)))
