"""Additions of users: merged behind ours, and refused where they touch what is the operator's. Ignition configs are judged by Ignition's own validator, built from its Go module."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from swarm_operator.api.engine import EngineSpec
from swarm_operator.api.user_data import parse_additions
from swarm_operator.bootstrap.cloud_init import MAX_USER_DATA, render_user_data
from swarm_operator.bootstrap.ignition import render_ignition


def merged(text: str) -> dict[str, Any]:
    additions = parse_additions(text, "CloudInit")
    rendered = render_user_data(
        cluster_uid="c", machine_uid="m", hostname="h", engine=EngineSpec(), authorized_keys=["ssh-ed25519 AAAA me"], join=None, additions=additions
    )
    document: dict[str, Any] = yaml.safe_load(rendered)
    return document


def test_lists_come_after_ours_and_other_modules_are_taken_as_they_are() -> None:
    ours = merged("#cloud-config\n")
    found = merged(
        "#cloud-config\npackages: [htop]\nruncmd: [[touch, /opt/x]]\nwrite_files: [{path: /etc/motd, content: hello}]\nssh_authorized_keys: [ssh-ed25519 BBBB you]\n"
    )
    assert found["packages"] == ["htop"]
    assert found["runcmd"] == [*ours["runcmd"], ["touch", "/opt/x"]]
    assert found["write_files"] == [*ours["write_files"], {"path": "/etc/motd", "content": "hello"}]
    assert found["ssh_authorized_keys"] == ["ssh-ed25519 AAAA me", "ssh-ed25519 BBBB you"]
    assert {key for key in found if key != "packages"} == set(ours)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\ntrue\n", "#cloud-config"),
        ("#cloud-config\n- a\n", "mapping"),
        ("#cloud-config\na: [\n", "is not YAML"),
        ("#cloud-config\nhostname: mine\n", "`hostname`"),
        ("#cloud-config\nssh_deletekeys: false\n", "`ssh_deletekeys`"),
        ("#cloud-config\ncloud_final_modules: []\n", "`cloud_final_modules`"),
        ("#cloud-config\nruncmd: reboot\n", "must be a list"),
        ("#cloud-config\nusers: [{name: me}]\n", "`default`"),
        ("#cloud-config\nwrite_files: [{path: /etc/docker/daemon.json, content: x}]\n", "operator's"),
        ("#cloud-config\nwrite_files: [{path: /etc/docker/tls/key.pem, content: x}]\n", "operator's"),
        ("#cloud-config\nwrite_files: [{path: /etc/systemd/system/docker.service.d/50-swarmops.conf, content: x}]\n", "operator's"),
        ("#cloud-config\nwrite_files: [{path: /tmp/../etc/docker/daemon.json, content: x}]\n", "absolute"),
    ],
)
def test_what_cloud_config_must_not_hold(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        parse_additions(text, "CloudInit")


def ignition(additions: dict[str, Any] | None = None, **engine: Any) -> str:
    return render_ignition(
        cluster_uid="c",
        machine_uid="m",
        hostname="demo-web-0",
        engine=EngineSpec(**engine),
        ssh_user="core",
        authorized_keys=["ssh-ed25519 AAAA me"],
        additions=additions,
    )


def contents(config: dict[str, Any]) -> dict[str, str]:
    return {f["path"]: unquote(f["contents"]["source"].removeprefix("data:,")) for f in config["storage"]["files"]}


def test_ignition_carries_the_same_bootstrap() -> None:
    config = json.loads(ignition())
    files = contents(config)
    assert json.loads(files["/etc/docker/daemon.json"])["labels"] == ["io.swarmops.cluster-uid=c", "io.swarmops.machine-uid=m"]
    assert files["/etc/hostname"] == "demo-web-0\n"
    assert "MACHINE_UID=m" in files["/etc/swarmops/machine"]
    assert not any(path.startswith("/usr/") for path in files), "/usr is read-only"
    assert config["passwd"]["users"] == [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 AAAA me"]}]
    docker, keys = config["systemd"]["units"]
    assert docker["enabled"] and "ExecStartPre=/bin/sh /etc/swarmops/identity data" in docker["dropins"][0]["contents"]
    assert "BEGIN SSH HOST KEY KEYS" in keys["contents"]


def test_too_long_an_ignition_config_is_refused() -> None:
    with pytest.raises(ValueError, match=str(MAX_USER_DATA)):
        ignition(extra={"x": "y" * 60_000})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"ignition": {"version": "2.3.0"}}, "version 3"),
        ({"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path": "/etc/docker/daemon.json"}]}}, "operator's"),
        ({"ignition": {"version": "3.3.0"}, "storage": {"links": [{"path": "/etc/hostname", "target": "/x"}]}}, "operator's"),
        ({"ignition": {"version": "3.3.0"}, "systemd": {"units": [{"name": "docker.service", "mask": True}]}}, "docker.service"),
        ({"ignition": {"version": "3.3.0"}, "systemd": {"units": [{"name": "swarmops-host-keys.service", "enabled": False}]}}, "swarmops-host-keys"),
    ],
)
def test_what_an_ignition_config_must_not_hold(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_additions(json.dumps(document), "Ignition")
    with pytest.raises(ValueError, match="JSON"):
        parse_additions("variant: fcos", "Ignition")


def test_ignition_itself_takes_it_with_and_without_additions(ignition_validator: Path) -> None:
    theirs = {"ignition": {"version": "3.1.0"}, "storage": {"files": [{"path": "/etc/motd", "contents": {"source": "data:,hello"}}]}}
    for text in (ignition(), ignition(parse_additions(json.dumps(theirs), "Ignition"))):
        done = subprocess.run([str(ignition_validator)], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout
    broken = json.loads(ignition())
    broken["storage"]["files"][0]["path"] = "no/slash"
    done = subprocess.run([str(ignition_validator)], input=json.dumps(broken), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "path not absolute" in done.stdout
