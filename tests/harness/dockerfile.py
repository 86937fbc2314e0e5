"""What a Dockerfile says: its stages and instructions, in the words of Docker's reference. Only what ours uses is known; anything else is an error, so that no step is passed over."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath


class DockerfileError(Exception):
    """An instruction, or a form of one, that is not known here; the text names it."""


@dataclass(frozen=True)
class Instruction:
    """`RUN`, `COPY`, `ENV`, `WORKDIR`, `USER`, `LABEL`, `ENTRYPOINT` or `CMD`. `flags` is `{"from": "build"}` for `--from=build`; `words` is what follows them."""

    name: str
    words: tuple[str, ...]
    flags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next. `name` is what `AS` calls it, or its number as text."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


def parse(text: str) -> list[Stage]:
    """The stages in their order. Raises DockerfileError."""
    stages: list[Stage] = []
    for line in logical_lines(text):
        name, _, rest = line.partition(" ")
        name, rest = name.upper(), rest.strip()
        if name == "FROM":
            words = rest.split()
            if len(words) not in (1, 3) or words[0].startswith("--") or (len(words) == 3 and words[1].upper() != "AS"):
                raise DockerfileError(f"FROM {rest}")
            stages.append(Stage(words[2] if len(words) == 3 else str(len(stages)), words[0], ()))
        elif not stages:
            raise DockerfileError(f"{name} before FROM")
        else:
            last = stages[-1]
            stages[-1] = Stage(last.name, last.base, (*last.instructions, instruction(name, rest)))
    return stages


def logical_lines(text: str) -> list[str]:
    """Lines joined at a backslash; comments and empty lines left out, also inside of a joined line, as Docker does."""
    found, pending = [], ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        found.append(pending.strip())
        pending = ""
    if pending:
        raise DockerfileError(f"the file ends inside of {pending!r}")
    return found


def instruction(name: str, rest: str) -> Instruction:
    """One instruction. Raises DockerfileError for one that is not known."""
    flags = {}
    while (match := re.match(r"--(\w+)=(\S+)\s+", rest)) is not None:
        flags[match[1]] = match[2]
        rest = rest[match.end() :]
    if flags and (name != "COPY" or set(flags) != {"from"}):
        raise DockerfileError(f"{name} with {sorted(flags)}")
    match name:
        case "RUN":
            return Instruction(name, (rest,))
        case "COPY" | "ENV" | "LABEL" | "WORKDIR" | "USER":
            words = tuple(rest.split())
            if "<<" in rest or '"' in rest or (name in ("ENV", "LABEL") and not all("=" in word for word in words)):
                raise DockerfileError(f"{name} {rest}")
            return Instruction(name, words, flags)
        case "ENTRYPOINT" | "CMD":
            if not rest.startswith("["):
                raise DockerfileError(f"{name} {rest}: the shell form would make /bin/sh the process that gets the signals")
            return Instruction(name, tuple(json.loads(rest)))
    raise DockerfileError(name)


def expand(word: str, env: Mapping[str, str]) -> str:
    """The word with `$NAME` and `${NAME}` filled in; what is not set is empty."""
    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda match: env.get(match[1] or match[2], ""), word)


def ignored(path: PurePosixPath, patterns: list[str]) -> bool:
    """Whether a file of the context, by its path from the root of it, is kept out by the lines of .dockerignore: the last one that matches it or a folder above it decides."""
    out = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").strip("/")
        if any(matches(PurePosixPath(*path.parts[: depth + 1]), wanted) for depth in range(len(path.parts))):
            out = not pattern.startswith("!")
    return out


def matches(path: PurePosixPath, pattern: str) -> bool:
    """`*` stays within a folder, a leading `**/` is any folders or none."""
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.name, pattern[3:])
    parts = pattern.split("/")
    return len(parts) == len(path.parts) and all(fnmatch.fnmatchcase(*pair) for pair in zip(path.parts, parts, strict=True))


def ignore_patterns(text: str) -> list[str]:
    """The lines of .dockerignore that say something."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
