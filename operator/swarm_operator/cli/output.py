"""Tables, JSON and YAML: the `-o` of commands that list something."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import yaml

from swarm_operator.cli.view import Style


@dataclass(frozen=True)
class Column:
    """A column of a table. `wide`: shown with `-o wide` only."""

    title: str
    wide: bool = False


@dataclass(frozen=True)
class Cell:
    """Text with a colour of `view.Style`."""

    text: str
    colour: str


Row = Sequence[str | Cell]
LISTING = ("table", "wide", "json", "yaml")


def write(out: TextIO, form: str, columns: Sequence[Column], rows: Sequence[Row], documents: Any, style: Style, *, empty: str) -> None:
    """`documents` as JSON or YAML, else `rows` as a table; `empty` where there are none."""
    if form in ("json", "yaml"):
        dump(out, form, documents)
        return
    out.write(table(columns, rows, style, wide=form == "wide") if rows else f"{empty}\n")


def dump(out: TextIO, form: str, documents: Any) -> None:
    """As JSON or YAML."""
    out.write(json.dumps(documents, indent=2) + "\n" if form == "json" else yaml.safe_dump(documents, sort_keys=False))


def table(columns: Sequence[Column], rows: Sequence[Row], style: Style, *, wide: bool = False) -> str:
    """Aligned columns, two spaces apart, titles in capitals as kubectl has them. Colours take no width."""
    chosen = [index for index, column in enumerate(columns) if wide or not column.wide]
    lines: list[Row] = [[columns[index].title for index in chosen], *([row[index] for index in chosen] for row in rows)]
    widths = [max(len(_text(line[position])) for line in lines) for position in range(len(chosen))]
    return "".join("  ".join(_padded(cell, width, style) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines)


def _text(cell: str | Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _padded(cell: str | Cell, width: int, style: Style) -> str:
    padding = " " * (width - len(_text(cell)))
    return (cell if isinstance(cell, str) else style(cell.colour, cell.text)) + padding
