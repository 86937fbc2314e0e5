"""The picture of the dashboard has every panel, and the numbers that Prometheus gave."""

from __future__ import annotations

import importlib.util
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
LABELS = {
    "namespace": "prod",
    "name": "blue",
    "kind": "SwarmCluster",
    "phase": "Ready",
    "system": "nova",
    "outcome": "error",
    "reason": "Replaced",
    "result": "done",
    "lease": "l",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboard_picture", IMAGES / "dashboard.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_query_is_asked_and_every_panel_drawn(script: ModuleType) -> None:
    asked: list[str] = []

    def ask(path: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        asked.append(parameters["query"])
        assert path == "query_range" and (parameters["start"], parameters["end"]) == ("400.0", "1000.0")
        return [{"metric": LABELS, "values": [[500.0, "1"], [505.0, "3"], [700.0, "NaN"], [1000.0, "42"]]}]

    dashboard = json.loads(script.DASHBOARD.read_text())
    picture = script.drawn(dashboard, ask, 1000.0, 600.0)
    root = ElementTree.fromstring(picture)
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {panel["title"] for panel in dashboard["panels"]} <= set(texts)
    assert len(asked) == sum(len(panel["targets"]) for panel in dashboard["panels"])
    assert not [query for query in asked if "$" in query]
    stats = sum(panel["type"] == "stat" for panel in dashboard["panels"])
    assert texts.count("42") == stats, "the last value"
    assert "prod/blue ready" in texts
    paths = [element.get("d") or "" for element in root.iter("{http://www.w3.org/2000/svg}path")]
    assert len(paths) == len(asked) - stats
    assert all(path.count("M") == 2 for path in paths), "a gap is no line"


def test_no_data_is_said(script: ModuleType) -> None:
    dashboard = json.loads(script.DASHBOARD.read_text())
    assert script.drawn(dashboard, lambda path, parameters: [], 1000.0, 600.0).count(">No data<") == len(dashboard["panels"])


@pytest.mark.parametrize(("top", "marks"), [(1, [0, 0.5, 1]), (3, [0, 1, 2, 3]), (42, [0, 20, 40, 60]), (0.03, [0, 0.01, 0.02, 0.03])])
def test_axes_have_round_numbers(script: ModuleType, top: float, marks: list[float]) -> None:
    assert script.ticks(top) == pytest.approx(marks)


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(0.012, "s", "12 ms"), (90, "s", "90 s"), (600, "s", "10 min"), (0.5, "ops", "0.5/s"), (12345, "short", "12345")]
)
def test_units(script: ModuleType, value: float, unit: str, text: str) -> None:
    assert script.shown(value, unit) == text


def test_the_picture_in_the_repository_is_of_this_dashboard(script: ModuleType) -> None:
    picture = (IMAGES / "dashboard.svg").read_text()
    titles = {panel["title"] for panel in json.loads(script.DASHBOARD.read_text())["panels"]}
    assert titles <= set(re.findall(r">([^<]+)</text>", picture))
