"""The alerts say what they mean: promtool checks and tests them, and each metric that they or the dashboard name is one that the operator has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm_operator.api.cluster_status import MachinePhase
from swarm_operator.api.conditions import CLUSTER_CONDITIONS, SERVICE_CONDITIONS, STACK_CONDITIONS
from swarm_operator.telemetry.reference import described

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "rules.yaml"
DASHBOARD = MONITORING / "dashboard.json"
TESTS = sorted((MONITORING / "tests").glob("*.yaml"))
KNOWN = {series: metric for metric in described() for series in metric.series}


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> Iterator[dict[str, Any]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> list[tuple[str, str]]:
    """Where it is, and the PromQL: of every alert and every panel. Grafana's variables are filled in."""
    found = [(rule["alert"], rule["expr"]) for rule in alerts()]
    for panel in panels():
        for target in panel.get("targets", []):
            found.append((panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$name", ".*")))
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("query", ""))
        if match is not None:
            found.append((variable["name"], match[1].replace("$namespace", ".*")))
    return found


@pytest.fixture
def promtool(request: pytest.FixtureRequest) -> str:
    """It comes with Debian's prometheus, which `lab up` installs."""
    found = shutil.which("promtool")
    if found is None:
        request.getfixturevalue("lab_env")  # skips where there is no lab
        pytest.fail("the lab is up and there is no promtool")
    return found


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.lab
def test_promtool_accepts_the_rules(promtool: str) -> None:
    assert f"SUCCESS: {len(alerts())} rules found" in run(promtool, "check", "rules", str(RULES))


@pytest.mark.lab
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_stop_at_the_edge_and_resolve(promtool: str, path: Path) -> None:
    assert "SUCCESS" in run(promtool, "test", "rules", str(path))


@pytest.mark.lab
def test_promtool_parses_every_expression_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    """As recording rules: promtool 2.42 has no other way to parse PromQL without a server."""
    rules = [{"record": f"e{number}", "expr": expression} for number, (_, expression) in enumerate(expressions())]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in run(promtool, "check", "rules", str(path))


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_every_metric_and_label_named_exists(where: str, expression: str) -> None:
    names = re.findall(r"\bswarm(?:_operator|cluster|service|stack)_[a-z_]+", expression)
    assert names, "an expression about nothing of ours"
    assert [name for name in names if name not in KNOWN] == []
    for name, selector in re.findall(r"\b(swarm\w+)\{([^}]*)\}", expression):
        used = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)
        assert set(used) <= {*KNOWN[name].labels, "job", "instance", "le"}, name
    for value in re.findall(r'condition="(\w+)"', expression):
        assert value in {c.value for c in (*CLUSTER_CONDITIONS, *SERVICE_CONDITIONS, *STACK_CONDITIONS)}
    for value in re.findall(r'phase="(\w+)"', expression):
        assert value in {phase.value for phase in MachinePhase}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_is_complete_and_has_a_runbook_and_a_test(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"(Swarm(Operator|Cluster|Service|Stack)|OpenStack|Orphaned)[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert "for" in rule
    runbook = ROOT / rule["annotations"]["runbook_url"]
    assert runbook.name == f"{rule['alert']}.md"
    text = runbook.read_text()
    assert text.startswith(f"# {rule['alert']}\n")
    for heading in ("## Meaning", "## Look", "## Act"):
        assert heading in text
    cases = [
        case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in test["alert_rule_test"] if case["alertname"] == rule["alert"]
    ]
    assert any(case.get("exp_alerts") for case in cases), "it is seen to fire"
    assert sum(not case.get("exp_alerts") for case in cases) >= 2, "and not to, before and after"


def test_no_runbook_is_left_over() -> None:
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"} == {rule["alert"] for rule in alerts()}


def test_the_panels_of_the_dashboard_do_not_overlap_and_ids_are_unique() -> None:
    """Rendering needs Grafana, which the project does not have: this is all that is checked of the layout."""
    placed = list(panels())
    assert len({panel["id"] for panel in placed}) == len({panel["title"] for panel in placed}) == len(placed)
    cells: set[tuple[int, int]] = set()
    for panel in placed:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not mine & cells, panel["title"]
        cells |= mine
