"""Commands in documents: the fenced blocks of Markdown, with the lines on which they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """`language` is the first word after the fence, `line` that of the first line of `text`, from 1."""

    language: str
    line: int
    text: str


def blocks(markdown: str) -> list[Block]:
    """All fenced blocks in order. A fence that is not closed is an error."""
    found: list[Block] = []
    opened: tuple[str, int, list[str]] | None = None
    for number, line in enumerate(markdown.splitlines(), 1):
        if opened is None and (match := re.fullmatch(r"```(\w*).*", line)) is not None:
            opened = (match[1], number + 1, [])
        elif opened is not None and line.rstrip() == "```":
            found.append(Block(opened[0], opened[1], "\n".join([*opened[2], ""])))
            opened = None
        elif opened is not None:
            opened[2].append(line)
    if opened is not None:
        raise ValueError(f"the block of line {opened[1]} is not closed")
    return found
