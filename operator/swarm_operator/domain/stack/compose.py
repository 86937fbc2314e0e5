"""From the text of a compose file to plain data, with its variables put in.

YAML as docker/cli reads it (go-yaml v3 into untyped values): the core schema of YAML 1.2, so that `on`, `yes` and `22:22` are words, with octal numbers such as 0440; merge
keys and anchors; a key that occurs twice is an error. Interpolation as in docker/cli `cli/compose/template`, in all sections but `version`, in values and not in keys;
beyond it `${X:+word}` and defaults that hold variables, as the compose specification has them.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import yaml

from swarm_operator.api.parse import Problem
from swarm_operator.domain.stack.notes import Notes

MOST_VALUES: Final = 50_000
"""Aliases can make a short file as large as one likes."""
DEEPEST: Final = 64

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Loader(yaml.SafeLoader):
    """Resolves what the core schema does, and merge keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as in the class that it replaces that of

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} occurs twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)$", "-+0123456789."),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def load(text: str, variables: Mapping[str, str], notes: Notes) -> dict[str, Any]:
    """The file as plain data. What is wrong goes into `notes`; then the answer is not to be used."""
    try:
        # The loader is a SafeLoader: it makes plain data and nothing else.
        data = yaml.load(text, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        notes.problems.append(Problem("compose", f"{where}{error.problem or error.context or 'is not YAML'}"))
        return {}
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        notes.problems.append(Problem("compose", "is nested too deeply" if isinstance(error, RecursionError) else f"is not YAML: {error}"[:300]))
        return {}
    if not isinstance(data, dict):
        notes.problems.append(Problem("compose", "must be a mapping with the key `services`"))
        return {}
    return _Walk(variables, notes).file(data)


class _Walk:
    """Copies the data, with variables put in."""

    def __init__(self, variables: Mapping[str, str], notes: Notes) -> None:
        self._variables, self._notes = variables, notes
        self._left = MOST_VALUES

    def file(self, data: dict[Any, Any]) -> dict[str, Any]:
        found = self._copy(data, "", 0)
        if self._left < 0:
            self._notes.problems.append(Problem("compose", f"must not hold more than {MOST_VALUES} values, counting what aliases stand for"))
            return {}
        return found if isinstance(found, dict) else {}

    def _copy(self, value: Any, path: str, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            return None
        if depth > DEEPEST:
            self._left = -1
            return None
        if isinstance(value, dict):
            out: dict[str, Any] = {}
            for key, entry in value.items():
                if not isinstance(key, str):
                    self._notes.problems.append(Problem(path or "compose", f"keys must be strings, unlike {key!r}"))
                    continue
                below = f"{path}.{key}" if path else key
                out[key] = entry if below == "version" else self._copy(entry, below, depth + 1)
            return out
        if isinstance(value, list):
            return [self._copy(entry, f"{path}[{index}]", depth + 1) for index, entry in enumerate(value)]
        if isinstance(value, str):
            try:
                return interpolate(value, self._variables, self._notes.unset)
            except ValueError as error:
                self._notes.problems.append(Problem(path, str(error)))
                return value
        return value


def interpolate(text: str, variables: Mapping[str, str], unset: set[str]) -> str:
    """`text` with its variables put in. One that is not set and has no default is empty, and its name goes into `unset`. Raises ValueError where the text has a `$` that
    means nothing, or a variable is required and missing."""
    if "$" not in text:
        return text
    out, position = [], 0
    while (dollar := text.find("$", position)) >= 0:
        out.append(text[position:dollar])
        rest = text[dollar + 1 :]
        if rest.startswith("$"):
            out.append("$")
            position = dollar + 2
        elif rest.startswith("{"):
            end = _closing(rest)
            if end < 0:
                raise ValueError(f"has a `${{` that is not closed: {text[dollar : dollar + 40]!r}; write $$ for a dollar")
            out.append(_braced(rest[1:end], variables, unset))
            position = dollar + 1 + end + 1
        elif (name := _NAME.match(rest)) is not None:
            out.append(_value(name[0], variables, unset))
            position = dollar + 1 + name.end()
        else:
            raise ValueError(f"has a `$` that names no variable: {text[dollar : dollar + 40]!r}; write $$ for a dollar")
    return "".join([*out, text[position:]])


def _closing(rest: str) -> int:
    """Where the brace closes that `rest` begins with; -1 where it does not."""
    depth, index = 0, 0
    while index < len(rest):
        if rest.startswith("${", index):
            depth += 1
            index += 1
        elif rest[index] == "{" and index == 0:
            depth = 1
        elif rest[index] == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return -1


def _braced(inner: str, variables: Mapping[str, str], unset: set[str]) -> str:
    match = _NAME.match(inner)
    operation = None if match is None else re.fullmatch(r"(:?[-?+])(.*)", inner[match.end() :], re.DOTALL)
    if match is None or (operation is None and match.end() != len(inner)):
        raise ValueError(f"has a variable that can't be read: {'${' + inner + '}'!r}; write $$ for a dollar")
    name = match[0]
    if operation is None:
        return _value(name, variables, unset)
    sign, word = operation[1], operation[2]
    given = bool(variables.get(name)) if sign.startswith(":") else name in variables
    if sign.endswith("+"):
        return interpolate(word, variables, unset) if given else ""
    if given:
        return variables[name]
    if sign.endswith("?"):
        raise ValueError(f"needs the variable {name}: {interpolate(word, variables, unset) or 'it is not set'}")
    return interpolate(word, variables, unset)


def _value(name: str, variables: Mapping[str, str], unset: set[str]) -> str:
    if name not in variables:
        unset.add(name)
    return variables.get(name, "")
