"""A mapping of a compose file, read key by key: each value is checked as it is read, and keys that nobody asked for are problems. Nothing is dropped without a word."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from swarm_operator.api.parse import Problem
from swarm_operator.domain.stack.notes import Notes

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT]?)(?:[iI]?[bB])?")
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TRUE: Final = ("y", "yes", "true", "on")
_FALSE: Final = ("n", "no", "false", "off")
"""Words that docker/cli casts (`cli/compose/loader/interpolate.go`): a value from a variable is a string."""


class Section:
    """The mapping `value` at `path`; None and what is no mapping count as empty."""

    def __init__(self, value: Any, path: str, notes: Notes) -> None:
        self.path, self.notes = path, notes
        self._asked: set[str] = set()
        if value is not None and not isinstance(value, dict):
            notes.problems.append(Problem(path, "must be a mapping"))
        self._values: Mapping[str, Any] = value if isinstance(value, dict) else {}

    def fail(self, key: str, message: str) -> None:
        """`key` can't be used; "" for the section itself."""
        self.notes.problems.append(Problem(f"{self.path}.{key}" if key else self.path, message))

    def ignore(self, *keys: str, why: str = "swarm can't carry it out") -> None:
        """Leave these keys out, and say so where they are set."""
        self.notes.ignored.extend(f"{self.path}.{key} is ignored: {why}" for key in keys if self.raw(key) is not None)

    def refuse(self, message: str, *keys: str) -> None:
        """These keys make the file unusable."""
        for key in keys:
            if self.raw(key) is not None:
                self.fail(key, message)

    def close(self) -> None:
        """What nobody has asked for is a problem, as in the schema of docker/cli; extensions (x-...) are not."""
        for key in self._values:
            if key not in self._asked and not key.startswith("x-"):
                self.fail(key, "is not known")

    # -- values

    def raw(self, key: str) -> Any:
        self._asked.add(key)
        return self._values.get(key)

    def names(self) -> Iterator[str]:
        """All keys but extensions, in the order of the file; they count as asked for."""
        for key in self._values:
            self._asked.add(key)
            if not key.startswith("x-"):
                yield key

    def section(self, key: str) -> Section:
        return Section(self.raw(key), f"{self.path}.{key}" if self.path else key, self.notes)

    def has(self, key: str) -> bool:
        return self.raw(key) is not None

    def text(self, key: str) -> str | None:
        value = self.raw(key)
        if value is None or isinstance(value, str):
            return value or None
        self.fail(key, "must be a string")
        return None

    def integer(self, key: str) -> int | None:
        value = self.raw(key)
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]{1,18}", value):
            return int(value)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self.fail(key, "must be an integer")
        return None

    def ratio(self, key: str) -> float | None:
        value = self.raw(key)
        if value is None:
            return None
        try:
            if not isinstance(value, bool):
                return float(value)
        except (TypeError, ValueError):
            pass
        self.fail(key, "must be a number")
        return None

    def flag(self, key: str) -> bool | None:
        value = self.raw(key)
        if isinstance(value, str) and value.lower() in (*_TRUE, *_FALSE):
            return value.lower() in _TRUE
        if value is None or isinstance(value, bool):
            return value
        self.fail(key, "must be true or false")
        return None

    def duration(self, key: str) -> int | None:
        """Whole seconds: a SwarmService has no smaller ones."""
        value = self.raw(key)
        if value is None:
            return None
        seconds = duration_seconds(value) if isinstance(value, str) else None
        if seconds is None:
            self.fail(key, "must be a duration such as 1m30s")
            return None
        if seconds != int(seconds):
            self.fail(key, f"must be a whole number of seconds, unlike {value}")
            return None
        return int(seconds)

    def size(self, key: str) -> str | None:
        """Bytes, as the digits of a quantity. `64M` is 67108864, as docker/cli has it (go-units, RAMInBytes)."""
        value = self.raw(key)
        if value is None:
            return None
        found = None if isinstance(value, bool) else size_bytes(str(value))
        if found is None:
            self.fail(key, "must be a size such as 64M")
            return None
        return str(found)

    def processors(self, key: str) -> str | None:
        value = self.raw(key)
        if value is None:
            return None
        try:
            amount = Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        except InvalidOperation:
            amount = None
        if amount is None or not amount.is_finite() or amount < 0 or amount != round(amount, 9):
            self.fail(key, 'must be a number of processors such as "0.5"')
            return None
        return f"{amount.normalize():f}"

    def texts(self, key: str) -> list[str]:
        """A list of strings, or one string."""
        value = self.raw(key)
        if value is None:
            return []
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            self.fail(key, "must be a string or a list of strings")
            return []
        return list(entries)

    def words(self, key: str) -> list[str]:
        """A command: a list of strings, or one string that is split as a shell does."""
        value = self.raw(key)
        if isinstance(value, str):
            try:
                return shlex.split(value)
            except ValueError as error:
                self.fail(key, f"can't be split into words: {error}".lower())
                return []
        return self.texts(key)

    def pairs(self, key: str) -> dict[str, str | None]:
        """A mapping, or a list of KEY=VALUE; None for a key without a value."""
        value = self.raw(key)
        if value is None:
            return {}
        out: dict[str, str | None] = {}
        if isinstance(value, list):
            for entry in value:
                if not isinstance(entry, str):
                    self.fail(key, "must be a mapping or a list of KEY=VALUE")
                    continue
                name, sign, text = entry.partition("=")
                out[name] = text if sign else None
        elif isinstance(value, dict):
            for name, entry in value.items():
                if isinstance(entry, bool | list | dict):
                    self.fail(f"{key}.{name}", "must be a string or a number")
                else:
                    out[name] = None if entry is None else plain(entry)
        else:
            self.fail(key, "must be a mapping or a list of KEY=VALUE")
        return out

    def labels(self, key: str) -> dict[str, str]:
        return {name: value or "" for name, value in self.pairs(key).items()}

    def entries(self, key: str) -> list[tuple[str, Any]]:
        """The entries of a list, each with its place."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fail(key, "must be a list")
            return []
        return [(f"{key}[{index}]", entry) for index, entry in enumerate(value)]


def plain(value: Any) -> str:
    """A scalar as the text that docker/cli makes of it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def duration_seconds(text: str) -> Decimal | None:
    """Seconds of a Go duration (`time.ParseDuration`) that is not negative; None where it is none."""
    if text == "0":
        return Decimal(0)
    parts, position = Decimal(0), 0
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None:
            return None
        parts += Decimal(match[1]) * _SECONDS[match[2]]
        position = match.end()
    return parts if text else None


def size_bytes(text: str) -> int | None:
    """Bytes of a size (go-units, RAMInBytes); None where it is none."""
    match = _SIZE.fullmatch(text.strip())
    return int(Decimal(match[1]) * 1024 ** _POWERS[match[2].lower()]) if match is not None else None
