from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmlab import cli, prometheus
from swarmlab.errors import LabError


def test_the_objects_namespace_is_kept_and_rules_are_the_project_s() -> None:
    config = json.loads(prometheus.configuration(["127.0.0.1:8080"], [prometheus.RULES], 0.5))
    (job,) = config["scrape_configs"]
    assert job["honor_labels"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8080"]}]
    assert config["global"]["scrape_interval"] == "500ms"
    assert [Path(rule).is_file() for rule in config["rule_files"]] == [True]


@pytest.mark.parametrize("target", ["http://x:1", "x", "x:1/metrics", "x:1;y"])
def test_a_target_that_is_none_is_refused(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmlab.prometheus.shutil.which", lambda name: "/usr/bin/prometheus")
    with pytest.raises(LabError, match="HOST:PORT"):
        prometheus.up("prometheus", 1, [target], [], 1)


def test_a_name_can_t_leave_the_lab_s_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert cli.main(["prometheus", "down", "--name", "prometheus-../../etc"]) == 1
