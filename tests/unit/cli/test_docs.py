"""The documentation and the plugin name the same commands and flags."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from swarm_operator.cli.plugin import parser

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "kubectl-plugin.md"


def verbs() -> dict[str, Any]:
    return dict(next(action for action in parser()._actions if action.dest == "verb").choices)  # type: ignore[arg-type]


def flags(verb: Any) -> set[str]:
    return {option for action in verb._actions for option in action.option_strings}


def test_each_command_has_its_row_with_flags_that_it_has() -> None:
    table = PAGE.read_text().split("| Command |", 1)[1].split("\n\n", 1)[0]
    rows = re.findall(r"^\| `([a-z-]+)((?:\\\||[^|])*)\|", table, flags=re.MULTILINE)
    named: set[str] = set()
    for first, rest in rows:
        words = [first, *re.findall(r"`, `([a-z][a-z-]+)", f"`{rest}")]
        named |= set(words)
        known = set().union(*(flags(verbs()[word]) for word in words if word in verbs()))
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest)) <= known, first
    assert named == set(verbs()) - {"completion"}, "completion has a section of its own"


def test_commands_that_other_pages_name_are_there() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for verb, rest in re.findall(r"kubectl swarm ([a-z-]+)([^`\n|]*)", page.read_text()):
            assert verb in verbs(), f"{page.name}: kubectl swarm {verb}"
            # What follows `--` is a command for a machine, what follows a `#` is for the reader.
            typed = re.split(r" -- | #", rest)[0]
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", typed)) <= flags(verbs()[verb]), f"{page.name}: kubectl swarm {verb}{rest}"
