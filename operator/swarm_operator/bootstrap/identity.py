"""A disk that was another machine's, made this machine's own before its engine starts: golden images (snapshots of a node) and data volumes that move.

Without it the engine of a server that boots from a snapshot would come up as the node that the snapshot was taken of (its certificate and the addresses of the managers are
below `<data-root>/swarm`), with that node's machine label, and a manager's TLS listener.

The script compares the machine UID that this server was made with against the one that the disk and the engine's data carry. It does nothing where they agree, whatever
cloud-init thinks of the instance: a metadata service that stammers must not cost a node its membership.
"""

from __future__ import annotations

import shlex
from typing import Final

from swarm_operator.api.engine import EngineSpec
from swarm_operator.bootstrap.guest_files import DROP_IN_PATH, TLS_DIRECTORY
from swarm_operator.bootstrap.metadata_join import LOG_PATH, UNIT_NAME, UNIT_PATH
from swarm_operator.bootstrap.metadata_join import SCRIPT_PATH as JOIN_SCRIPT

SETTINGS_PATH: Final = "/etc/swarmops/machine"
SCRIPT_PATH: Final = "/usr/local/lib/swarmops/identity"
ENGINE_DROP_IN_PATH: Final = "/etc/systemd/system/docker.service.d/20-swarmops-identity.conf"
DISK_MARK: Final = "/etc/swarmops/machine-uid"
"""Holds the UID of the machine whose disk this is."""
DATA_MARK: Final = "swarmops-machine-uid"
"""In the engine's data root: the UID of the machine whose swarm state is there. It travels with a data volume."""
STALE_TASKS: Final = "swarmops-stale-tasks"
DEFAULT_DATA_ROOT: Final = "/var/lib/docker"

# `After=` names cloud-init's network stage under its older and its newer name (24.3): it writes the new machine's settings. It is there in images that were taken of our nodes.
ENGINE_DROP_IN: Final = f"""\
# Written by swarm-operator. Changes are overwritten.
[Unit]
After=cloud-init.service cloud-init-network.service

[Service]
ExecStartPre={SCRIPT_PATH} data
ExecStartPost=-{SCRIPT_PATH} tasks
"""

SCRIPT: Final = f"""\
#!/bin/sh
# Written by swarm-operator. Makes a disk, or engine data, that was another machine's this machine's own.
set -u
. {SETTINGS_PATH}
mark="$DATA_ROOT/{DATA_MARK}"

clean_data() {{
    if [ "$(cat "$mark" 2>/dev/null)" != "$MACHINE_UID" ]; then
        if [ -e "$DATA_ROOT/swarm" ]; then
            rm -rf "$DATA_ROOT/swarm"
            : >"$DATA_ROOT/{STALE_TASKS}"
        fi
        rm -f "$DATA_ROOT/engine-id"
        mkdir -p -m 0710 "$DATA_ROOT"
        printf '%s' "$MACHINE_UID" >"$mark"
    fi
}}

clean_disk() {{
    found=$(cat {DISK_MARK} 2>/dev/null)
    if [ "$found" != "$MACHINE_UID" ] && {{ [ -n "$found" ] || [ -e "$DATA_ROOT/swarm" ]; }}; then
        # The engine must not run on what is taken away; cloud-init starts it again.
        systemctl stop docker.socket docker.service 2>/dev/null
        systemctl disable --now {UNIT_NAME} 2>/dev/null
        rm -rf {TLS_DIRECTORY}
        rm -f {DROP_IN_PATH} /etc/docker/key.json {UNIT_PATH} {JOIN_SCRIPT} {LOG_PATH}
        rm -f /etc/machine-id
        if [ -e /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then rm -f /var/lib/dbus/machine-id; dbus=1; else dbus=; fi
        systemd-machine-id-setup
        if [ -n "$dbus" ]; then ln -s /etc/machine-id /var/lib/dbus/machine-id; fi
        clean_data
    fi
    printf '%s' "$MACHINE_UID" >{DISK_MARK}
}}

case "${{1:-}}" in
disk)
    clean_disk
    systemctl daemon-reload
    ;;
data)
    clean_data
    ;;
tasks)
    # Containers of services that ran where the data came from: no swarm knows them any more.
    if [ -e "$DATA_ROOT/{STALE_TASKS}" ]; then
        docker ps --all --quiet --filter label=com.docker.swarm.task.id | xargs -r docker rm --force --volumes >/dev/null
        rm -f "$DATA_ROOT/{STALE_TASKS}"
    fi
    ;;
*)
    echo "usage: $0 disk|data|tasks" >&2
    exit 2
    ;;
esac
"""


def settings(machine_uid: str, engine: EngineSpec) -> str:
    """Content of SETTINGS_PATH: variables for the shell."""
    return f"MACHINE_UID={shlex.quote(machine_uid)}\nDATA_ROOT={shlex.quote(engine.data_root or DEFAULT_DATA_ROOT)}\n"


def files(machine_uid: str, engine: EngineSpec) -> tuple[tuple[str, str, int], ...]:
    """(path, content, mode) of what must be on the disk before the engine starts."""
    return (
        (SETTINGS_PATH, settings(machine_uid, engine), 0o644),
        (SCRIPT_PATH, SCRIPT, 0o755),
        (ENGINE_DROP_IN_PATH, ENGINE_DROP_IN, 0o644),
    )


def boot_command(machine_uid: str, engine: EngineSpec) -> str:
    """Shell text for cloud-init's `bootcmd`, which runs at every boot before files are written and before the engine starts: writes the files and makes the disk ours."""
    parts = []
    for path, content, mode in files(machine_uid, engine):
        parts.append(f"mkdir -p {path.rpartition('/')[0]}\ncat >{path} <<'SWARMOPS_END'\n{content}SWARMOPS_END\nchmod {mode:04o} {path}\n")
    return "".join(parts) + f"{SCRIPT_PATH} disk\n"
