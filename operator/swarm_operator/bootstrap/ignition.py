"""The first boot of a machine as an Ignition config, v3.3 (Fedora CoreOS and Flatcar read it): the same bootstrap as `cloud_init`, for images without cloud-init.

It holds no secret. Ignition runs before anything else, once per disk, so files are there before the engine starts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from swarm_operator.api.engine import EngineSpec
from swarm_operator.bootstrap import identity
from swarm_operator.bootstrap.cloud_init import MAX_USER_DATA
from swarm_operator.bootstrap.engine import DAEMON_JSON_PATH, daemon_json_text

VERSION: Final = "3.3.0"
SCRIPT_PATH: Final = "/etc/swarmops/identity"
"""/usr is read-only on these systems."""

# These systems do not print host keys in the form that the operator reads (`bootstrap.console`).
_HOST_KEYS: Final = """\
[Unit]
Description=Print ssh host keys on the console
After=sshd-keygen.target sshd.service sshd.socket
Wants=sshd-keygen.target

[Service]
Type=oneshot
RemainAfterExit=yes
StandardOutput=tty
TTYPath=/dev/console
ExecStart=/bin/sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do ls /etc/ssh/ssh_host_*_key.pub >/dev/null 2>&1 && break; sleep 2; done; echo; echo "-----BEGIN SSH HOST KEY KEYS-----"; cat /etc/ssh/ssh_host_*_key.pub; echo "-----END SSH HOST KEY KEYS-----"'

[Install]
WantedBy=multi-user.target
"""


def render_ignition(
    *,
    cluster_uid: str,
    machine_uid: str,
    hostname: str,
    engine: EngineSpec,
    ssh_user: str,
    authorized_keys: Sequence[str],
    additions: Mapping[str, Any] | None = None,
) -> str:
    """The config as JSON. `authorized_keys` with the operator's own. Raises ValueError, beginning with the field's path, as `render_user_data`."""
    drop_in = identity.ENGINE_DROP_IN.replace(identity.SCRIPT_PATH, f"/bin/sh {SCRIPT_PATH}")
    files = [
        _file("/etc/hostname", hostname + "\n", 0o644),
        _file(DAEMON_JSON_PATH, daemon_json_text(engine, cluster_uid, machine_uid), 0o644),
        _file(identity.SETTINGS_PATH, identity.settings(machine_uid, engine), 0o644),
        _file(SCRIPT_PATH, identity.SCRIPT, 0o755),
    ]
    config: dict[str, Any] = {
        "ignition": {"version": VERSION},
        "passwd": {"users": [{"name": ssh_user, "sshAuthorizedKeys": [key.strip() for key in authorized_keys]}]},
        "storage": {"files": files},
        "systemd": {
            "units": [
                {"name": "docker.service", "enabled": True, "dropins": [{"name": identity.ENGINE_DROP_IN_PATH.rpartition("/")[2], "contents": drop_in}]},
                {"name": "swarmops-host-keys.service", "enabled": True, "contents": _HOST_KEYS},
            ]
        },
    }
    if additions:
        config["ignition"]["config"] = {"merge": [{"source": _data_url(json.dumps(additions))}]}
    text = json.dumps(config, indent=1, sort_keys=True)
    if len(base64.b64encode(text.encode())) > MAX_USER_DATA:
        raise ValueError(f"spec.machine.userData: the user data would be longer than the {MAX_USER_DATA} characters of base64 that Nova takes")
    return text


def _file(path: str, content: str, mode: int) -> dict[str, Any]:
    return {"path": path, "mode": mode, "overwrite": True, "contents": {"source": _data_url(content)}}


def _data_url(content: str) -> str:
    return "data:," + quote(content)
