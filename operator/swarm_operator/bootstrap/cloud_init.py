"""User data: the `#cloud-config` of a machine (cloud-init reference; written for 22.4 and later).

It holds no secret: user data can be read by anything on the guest, containers included, for as long as the server lives.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from swarm_operator.api.engine import EngineSpec
from swarm_operator.bootstrap import identity, metadata_join
from swarm_operator.bootstrap.engine import DAEMON_JSON_PATH, daemon_json_text

MAX_USER_DATA: Final = 65535
"""Longest user data that Nova takes, in characters of base64 (Nova API schema, `user_data`: maxLength 65535)."""


@dataclass(frozen=True)
class MetadataJoin:
    """Join by server metadata. `metadata_url` is OpenStack's metadata document."""

    metadata_url: str = metadata_join.METADATA_URL


def render_user_data(
    *,
    cluster_uid: str,
    machine_uid: str,
    hostname: str,
    engine: EngineSpec,
    authorized_keys: Sequence[str],
    join: MetadataJoin | None,
    additions: Mapping[str, Any] | None = None,
) -> str:
    """The user data of one machine: host name, ssh keys of the image's login user, engine configuration and, with `join`, the script that joins the swarm. `additions`: what the
    user adds (`api.user_data.parse_additions`); entries of lists come after ours.

    Docker is expected in the image. Raises ValueError, beginning with the field's path, for refused engine settings, a malformed authorized key, or too long a result.
    """
    files = [_file(DAEMON_JSON_PATH, daemon_json_text(engine, cluster_uid, machine_uid), "0644")]
    # write_files runs in cloud-init's network stage, maybe before the engine's first start and maybe after it; a restart serves both. At this point no container runs.
    commands: list[list[str]] = [["systemctl", "daemon-reload"], ["systemctl", "enable", "docker.service"], ["systemctl", "restart", "docker.service"]]
    if join is not None:
        files.append(_file(metadata_join.SCRIPT_PATH, metadata_join.join_script(machine_uid, join.metadata_url), "0755"))
        files.append(_file(metadata_join.UNIT_PATH, metadata_join.UNIT, "0644"))
        # As a unit, not in runcmd itself: the wait for metadata must not hold up the modules that follow, which print the host keys on the console.
        commands += [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", metadata_join.UNIT_NAME],
            ["systemctl", "start", "--no-block", metadata_join.UNIT_NAME],
        ]
    config: dict[str, Any] = {
        "hostname": hostname,
        "preserve_hostname": False,
        "manage_etc_hosts": "localhost",  # the host name must resolve; other entries of the image stay
        # The operator verifies host keys by what the console says, so new keys per instance and their print-out must be on, whatever the image says.
        "ssh_deletekeys": True,
        "ssh": {"emit_keys_to_console": True},
        # Before write_files and at every boot: an image may be a snapshot of another node, and a later boot may bring another volume.
        "bootcmd": [["sh", "-c", identity.boot_command(machine_uid, engine)]],
        "write_files": files,
        "runcmd": commands,
    }
    keys = [_authorized_key(index, key) for index, key in enumerate(authorized_keys)]
    if keys:
        config["ssh_authorized_keys"] = keys
    for key, value in (additions or {}).items():
        ours = config.get(key)
        config[key] = [*ours, *value] if isinstance(ours, list) and isinstance(value, list) else value
    text = "#cloud-config\n" + yaml.dump(config, Dumper=_Readable, sort_keys=False, width=4096)
    if len(base64.b64encode(text.encode())) > MAX_USER_DATA:
        raise ValueError(
            f"spec.engine: the user data would be longer than the {MAX_USER_DATA} characters of base64 that Nova takes; shorten engine.extra or ssh.authorizedKeys"
        )
    return text


class _Readable(yaml.SafeDumper):
    """Writes files as literal blocks: whoever debugs a guest reads its user data."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def _file(path: str, content: str, mode: str) -> dict[str, str]:
    return {"path": path, "owner": "root:root", "permissions": mode, "content": content}


def _authorized_key(index: int, key: str) -> str:
    line = key.strip()
    if "\n" in line or "\r" in line or len(line.split()) < 2:
        raise ValueError(f"spec.ssh.authorizedKeys[{index}]: not a public key on one line")
    return line
