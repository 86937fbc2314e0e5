"""User data: valid cloud-config, no secret, within Nova's limit."""

from __future__ import annotations

import ast
import base64
import json
from typing import Any

import pytest
import yaml

from swarm_operator.api.engine import EngineSpec
from swarm_operator.bootstrap.cloud_init import MAX_USER_DATA, MetadataJoin, render_user_data


def render(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "cluster_uid": "c-uid",
        "machine_uid": "m-uid",
        "hostname": "demo-manager-0",
        "engine": EngineSpec(),
        "authorized_keys": ["ssh-ed25519 AAAAC3 me"],
        "join": None,
    }
    return render_user_data(**{**arguments, **changes})


def test_is_cloud_config_with_daemon_json_and_engine_restart() -> None:
    text = render()
    assert text.splitlines()[0] == "#cloud-config"
    config = yaml.safe_load(text)
    assert config["hostname"] == "demo-manager-0"
    assert config["ssh_authorized_keys"] == ["ssh-ed25519 AAAAC3 me"]
    (daemon,) = config["write_files"]
    assert daemon["path"] == "/etc/docker/daemon.json"
    assert json.loads(daemon["content"])["labels"] == ["io.swarmops.cluster-uid=c-uid", "io.swarmops.machine-uid=m-uid"]
    assert ["systemctl", "restart", "docker.service"] in config["runcmd"]


def test_metadata_join_brings_script_and_unit_and_does_not_block_runcmd() -> None:
    config = yaml.safe_load(render(join=MetadataJoin(metadata_url="http://169.254.169.254/x")))
    files = {file["path"]: file for file in config["write_files"]}
    script = files["/usr/local/lib/swarmops/join.py"]["content"]
    ast.parse(script)
    assert "http://169.254.169.254/x" in script
    assert "io.swarmops.machine-uid=m-uid" in script
    assert "@" not in script.replace("@URL@", "").split('"""', 2)[2], "a placeholder was left"
    assert "/usr/local/lib/swarmops/join.py" in files["/etc/systemd/system/swarmops-join.service"]["content"]
    assert config["runcmd"][-1] == ["systemctl", "start", "--no-block", "swarmops-join.service"]
    assert config["runcmd"].index(["systemctl", "restart", "docker.service"]) < len(config["runcmd"]) - 1


def test_render_is_deterministic() -> None:
    assert render(join=MetadataJoin()) == render(join=MetadataJoin())


def test_longest_that_nova_takes() -> None:
    with pytest.raises(ValueError, match=r"^spec\.engine: .*65535"):
        render(engine=EngineSpec(extra={"default-ulimits": {"x": "y" * 60_000}}))
    assert len(base64.b64encode(render(engine=EngineSpec(extra={"a": "y" * 40_000})).encode())) <= MAX_USER_DATA


@pytest.mark.parametrize("key", ["nonsense", "ssh-ed25519 AAAA\nruncmd: [reboot]"])
def test_malformed_authorized_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"^spec\.ssh\.authorizedKeys\[1\]"):
        render(authorized_keys=["ssh-ed25519 AAAA ok", key])
