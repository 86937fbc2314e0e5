"""The support bundle: what is in it, and that no planted secret is."""

from __future__ import annotations

import copy
import stat
import tarfile
from pathlib import Path
from typing import Any

import yaml

from unit.cli.fakes import CLUSTER, LOST, SERVICE, STACK, FakeApi, run

PLANTED: dict[str, Any] = {
    "metadata.annotations": {"kubectl.kubernetes.io/last-applied-configuration": "planted-01", "team/token": "planted-02"},
    "metadata.labels": {"auth": "planted-03"},
    "spec.env": [{"name": "PASSWORD", "value": "planted-04"}, "PLAIN=planted-05"],
    "spec.args": ["serve", "--key", "planted-06"],
    "spec.command": ["run --token planted-07"],
    "spec.healthcheck": {"test": ["CMD-SHELL", "curl -u me:planted-08 localhost"]},
    "spec.labels": {"proxy.users": "planted-09"},
    "spec.containerLabels": {"x": "planted-10"},
    "spec.logDriver": {"name": "splunk", "options": {"splunk-token": "planted-11"}},
    "spec.mounts": [{"type": "volume", "volumeOptions": {"driverOpts": {"o": "username=me,planted-12"}}}],
    "spec.engine": {
        "logOpts": {"token": "planted-13"},
        "extra": {"proxies": {"https-proxy": "planted-14"}},
        "registryMirrors": ["https://me:planted-15@mirror"],
    },
    "spec.machine": {"metadata": {"key": "planted-16"}, "userData": {"inline": "#cloud-config\npassword planted-17"}},
    "spec.workerPools": [{"name": "a", "machine": {"metadata": {"key": "planted-18"}, "userData": {"inline": "planted-19"}}}],
    "status.message": "join with SWMTKN-1-planted-20 and password=planted-21",
    "status.pem": "-----BEGIN PRIVATE KEY-----\nplanted-22\n-----END PRIVATE KEY-----",
}


def planted(item: dict[str, Any]) -> dict[str, Any]:
    """`item` with all of PLANTED, each at its path."""
    item = copy.deepcopy(item)
    for path, value in PLANTED.items():
        parent, key = path.split(".", 1)
        item.setdefault(parent, {})[key] = value
    return item


def bundle(path: Path) -> dict[str, str]:
    with tarfile.open(path, "r:gz") as archive:
        return {entry.name: archive.extractfile(entry).read().decode() for entry in archive}  # type: ignore[union-attr]


def test_no_planted_secret_is_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    run("report", "main", "--file", str(path), api=FakeApi(planted(CLUSTER), planted(SERVICE), planted(STACK)))
    whole = "".join(bundle(path).values())
    assert [word for word in (f"planted-{number:02}" for number in [*range(1, 23), 30]) if word in whole] == []
    for told in ("PASSWORD", "splunk-token", "proxy.users", "proxies", "serve", "CMD-SHELL", "registryMirrors"):
        assert told in whole, "what is not secret is what the report is for"


def test_the_report_holds_objects_events_and_status_of_its_cluster_only(tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    path.write_bytes(b"")
    path.chmod(0o644)
    assert run("report", "main", "--file", str(path)) == f"{path}\n"
    texts = bundle(path)
    assert sorted(texts) == [f"main-report/{name}" for name in ("about.yaml", "cluster.yaml", "events.yaml", "services.yaml", "stacks.yaml", "status.txt")]
    whole = "".join(texts.values())
    assert "DB_PASS=[redacted]" in whole and "password=[redacted]" in whole
    assert not any(word in whole for word in ("hunter2", "abc", "never", "managedFields", "foreign", LOST["metadata"]["name"]))
    assert [item["metadata"]["name"] for item in yaml.safe_load(texts["main-report/services.yaml"])] == ["web"]
    assert texts["main-report/status.txt"].startswith("SwarmCluster shop/main  not ready: NodesDown\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "also where a file was there before"


def test_user_data_from_a_secret_is_named_and_node_labels_stay(tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    cluster = {**CLUSTER, "spec": {"machine": {"userData": {"secretRef": {"name": "boot"}}}, "managers": {"nodeLabels": {"tier": "db"}}}}
    run("report", "main", "--file", str(path), api=FakeApi(cluster))
    spec = yaml.safe_load(bundle(path)["main-report/cluster.yaml"])["spec"]
    assert spec == cluster["spec"]
