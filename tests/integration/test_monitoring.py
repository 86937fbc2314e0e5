"""A real Prometheus scrapes the real operator with the project's rules, and an alert fires for real drift and resolves."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cloud import DockerView
from harness.kube import Kubectl, condition, eventually
from harness.operator import Operator
from integration.conftest import ROOT, service_manifest

pytestmark = pytest.mark.lab

RULES = ROOT / "deploy" / "monitoring" / "rules.yaml"


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def alert(self, alertname: str, /, **labels: str) -> str:
        """pending, firing, or nothing."""
        found = [a for a in self.get("alerts")["alerts"] if a["labels"]["alertname"] == alertname and labels.items() <= a["labels"].items()]
        return str(found[0]["state"]) if found else ""

    def value(self, query: str) -> float | None:
        result = self.get(f"query?query={urllib.parse.quote(query)}")["result"]
        return float(result[0]["value"][1]) if result else None


@pytest.fixture
def prometheus(lab: Callable[..., str], operator: Operator, kubectl: Kubectl, tmp_path: Path) -> Iterator[Prometheus]:
    """With the project's rules, of which the `for` of SwarmServiceDrifted alone is shortened to 3 s."""
    text = RULES.read_text()
    shortened = re.sub(r"(alert: SwarmServiceDrifted\n\s+expr: .*\n\s+for: )10m", r"\g<1>3s", text)
    assert shortened != text
    rules = tmp_path / "rules.yaml"
    rules.write_text(shortened)
    target = re.findall(r"metrics at (\S+:\d+)", operator.log.read_text())[-1]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    name = f"prometheus-{kubectl.namespace}"
    try:
        up = lab("prometheus", "up", "--name", name, "--port", str(port), "--target", target, "--rules", str(rules), "--seconds", "1")
        yield Prometheus(up.strip().splitlines()[-1])
    finally:
        lab("prometheus", "down", "--name", name)


def test_an_alert_fires_for_real_drift_and_resolves(kubectl: Kubectl, swarm: str, docker: DockerView, prometheus: Prometheus) -> None:
    kubectl.apply(service_manifest("watched", swarm, replicas=1, driftPolicy="Report"))
    kubectl.wait("swarmservice", "watched", timeout=120)
    ours = {"namespace": kubectl.namespace, "name": "watched"}
    selector = f'{{namespace="{kubectl.namespace}",name="watched"}}'
    eventually(lambda: prometheus.value(f"swarmservice_replicas_running{selector}") == 1, within=30, what="scraped")
    assert prometheus.value(f"swarmservice_drifted{selector}") == 0
    assert prometheus.value(f'swarmcluster_condition{{namespace="{kubectl.namespace}",name="{swarm}",condition="Ready",status="True"}}') == 1
    assert prometheus.alert("SwarmServiceDrifted", **ours) == ""

    docker.scale("watched", 2)
    began = time.monotonic()
    eventually(lambda: prometheus.alert("SwarmServiceDrifted", **ours) == "firing", within=90, every=0.2, what="the alert fires")
    print(f"drift to alert (for: 3s, scrape each second): {time.monotonic() - began:.1f} s")
    assert condition(kubectl.get("swarmservice", "watched"), "Drifted")["status"] == "True"
    assert (prometheus.value(f"swarmservice_drift_seconds{selector}") or 0) > 0

    kubectl.patch("swarmservice", "watched", {"spec": {"driftPolicy": "Correct"}})
    began = time.monotonic()
    eventually(lambda: prometheus.alert("SwarmServiceDrifted", **ours) == "", within=90, every=0.2, what="the alert resolves")
    print(f"driftPolicy Correct to resolved: {time.monotonic() - began:.1f} s")
    eventually(lambda: docker.service("watched")["Spec"]["Mode"]["Replicated"]["Replicas"] == 1, within=30)

    kubectl("delete", "swarmservice", "watched", "--timeout=60s")
    eventually(lambda: prometheus.value(f"swarmservice_drifted{selector}") is None, within=30, what="what is gone has no series")
