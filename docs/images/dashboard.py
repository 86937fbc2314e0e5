"""Draws the panels of deploy/monitoring/dashboard.json from what a Prometheus holds: `docs/images/dashboard.py http://127.0.0.1:19090 --minutes 10 > dashboard.svg`.

It is not Grafana, which no package registry has as a program: titles, places, queries, legends and units are the dashboard's, colours and axes are this script's own.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "monitoring" / "dashboard.json"
CELL, ROW, GAP = 50, 30, 6
"""Pixels: a column of Grafana's 24, one unit of height, and the space between panels."""
COLOURS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#fade2a", "#96d98d", "#ffb357")
STEPS = 120
"""Points of a series."""

Samples = list[tuple[float, float]]
Ask = Callable[[str, dict[str, str]], list[dict[str, Any]]]
"""(path of the HTTP API, parameters) -> `data.result`"""


@dataclass(frozen=True)
class Series:
    legend: str
    samples: Samples


def prometheus(url: str) -> Ask:
    """Asks the HTTP API of a real one. Raises urllib.error.URLError."""

    def ask(path: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:  # noqa: S310
            result: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
            return result

    return ask


def filled(expression: str, seconds: float) -> str:
    """Grafana's variables at "All". Its rate interval is at least four scrapes; so it is here, for a scrape each five seconds."""
    return expression.replace("$__rate_interval", f"{max(20, round(seconds / STEPS * 4))}s").replace("$namespace", ".*").replace("$name", ".*")


def legend(text: str, labels: dict[str, str]) -> str:
    """legendFormat with its labels filled in; without one, all labels as Prometheus writes them."""
    if not text:
        return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__") + "}"
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), text)


def ranges(panel: dict[str, Any], ask: Ask, end: float, seconds: float) -> list[Series]:
    found = []
    for target in panel["targets"]:
        parameters = {"query": filled(target["expr"], seconds), "start": str(end - seconds), "end": str(end), "step": str(seconds / STEPS)}
        for one in ask("query_range", parameters):
            samples = [(float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))]
            found.append(Series(legend(target.get("legendFormat", ""), one["metric"]), samples))
    return found


def shown(value: float, unit: str) -> str:
    """A number in the panel's unit: `s` for seconds, `reqps` and `ops` a second, else none."""
    if unit == "s":
        return f"{value * 1000:.0f} ms" if 0 < value < 1 else f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"
    text = f"{value:.3g}" if value < 1e4 else f"{value:.0f}"
    return f"{text}/s" if unit in ("reqps", "ops") else text


def ticks(top: float) -> list[float]:
    """Round values from 0 to at least `top`, at most five."""
    step = 10 ** math.floor(math.log10(top)) if top > 0 else 1.0
    step = next(step * factor for factor in (0.2, 0.5, 1, 2, 5) if top / (step * factor) <= 4)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def text(x: float, y: float, content: str, size: int = 12, colour: str = "#ccccdc", anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">{escape(content)}</text>'


def chart(series: list[Series], unit: str, box: tuple[float, float, float, float], start: float, end: float) -> Iterator[str]:
    """Lines, axes and a legend in (x, y, width, height)."""
    x, y, width, height = box
    if not any(one.samples for one in series):
        yield text(x + width / 2, y + height / 2, "No data", 14, "#8e8e99", "middle")
        return
    left, bottom = x + 52, y + height - 38
    right, top = x + width - 10, y + 4
    marks = ticks(max((value for one in series for _, value in one.samples), default=1.0) or 1.0)
    for mark in marks:
        level = bottom - (bottom - top) * mark / marks[-1]
        yield f'<line x1="{left}" y1="{level:.1f}" x2="{right}" y2="{level:.1f}" stroke="#2c3235"/>'
        yield text(left - 6, level + 4, shown(mark, unit), 10, "#8e8e99", "end")
    for number in range(5):
        at = start + (end - start) * number / 4
        place = left + (right - left) * number / 4
        yield text(
            place, bottom + 14, time.strftime("%H:%M:%S", time.gmtime(at)), 10, "#8e8e99", "start" if number == 0 else "end" if number == 4 else "middle"
        )
    step = (end - start) / STEPS
    place = left
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        path, before = "", None
        for at, value in one.samples:
            verb = "L" if before is not None and at - before < 1.5 * step else "M"
            path += f"{verb}{left + (right - left) * (at - start) / (end - start):.1f} {bottom - (bottom - top) * value / marks[-1]:.1f}"
            before = at
        if path:
            yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linecap="round"/>'
        wide = 24 + 6.6 * len(one.legend)
        if place + wide < right:
            yield f'<rect x="{place:.1f}" y="{bottom + 23}" width="12" height="3" fill="{colour}"/>' + text(place + 16, bottom + 29, one.legend, 11)
        elif place < right:
            yield text(right, bottom + 29, f"and {len(series) - number} more", 11, "#8e8e99", "end")
            place = right
        place += wide


def stat(series: list[Series], unit: str, box: tuple[float, float, float, float]) -> Iterator[str]:
    """The last value of each series, large."""
    x, y, width, height = box
    found = [(one.legend, one.samples[-1][1]) for one in series if one.samples]
    if not found:
        yield text(x + width / 2, y + height / 2 + 8, "No data", 14, "#8e8e99", "middle")
    for number, (name, value) in enumerate(found):
        centre = x + width * (2 * number + 1) / (2 * len(found))
        yield text(centre, y + height / 2 + 14, shown(value, unit), 34, "#73bf69", "middle", "600")
        yield text(centre, y + height - 8, name, 11, "#8e8e99", "middle")


def drawn(dashboard: dict[str, Any], ask: Ask, end: float, seconds: float) -> str:
    """The whole picture. Raises KeyError for a type of panel that it can't draw."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * ROW + 46
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * CELL + 12} {height}" font-family="Inter, Helvetica, Arial, sans-serif">',
        '<rect width="100%" height="100%" fill="#111217"/>',
        text(14, 28, dashboard["title"], 18, weight="600"),
        text(24 * CELL, 28, f"last {seconds / 60:.0f} min, drawn from Prometheus by docs/images/dashboard.py", 12, "#8e8e99", "end"),
    ]
    for panel in dashboard["panels"]:
        place, unit = panel["gridPos"], panel["fieldConfig"]["defaults"].get("unit", "short")
        x, y, wide, high = place["x"] * CELL + 6, place["y"] * ROW + 42, place["w"] * CELL - GAP, place["h"] * ROW - GAP
        lines.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="3" fill="#181b1f" stroke="#25282d"/>')
        lines.append(text(x + 10, y + 20, panel["title"], 13, weight="500"))
        series, box = ranges(panel, ask, end, seconds), (x, y + 28, wide, high - 30)
        lines += {"timeseries": lambda s, u, b: chart(s, u, b, end - seconds, end), "stat": stat}[panel["type"]](series, unit, box)
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the dashboard from a Prometheus.")
    parser.add_argument("url")
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    sys.stdout.write(drawn(json.loads(DASHBOARD.read_text()), prometheus(arguments.url), time.time(), arguments.minutes * 60))


if __name__ == "__main__":
    main()
