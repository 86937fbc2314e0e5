"""What ``lab break`` can do to servers, networks and the cloud: faults of the kind that a real cloud shows now and then.

Each function can be repeated, and each fault can be undone (power a killed host on by a hard reboot through Nova).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from swarmlab import cloudapi, content
from swarmlab.errors import LabError
from swarmlab.hosts import faultswitch, network, record, server
from swarmlab.hosts.kernel import run

QUOTAS = {
    **dict.fromkeys(("instances", "cores", "ram", "key_pairs", "server_groups", "server_group_members"), "compute"),
    **dict.fromkeys(("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule"), "network"),
    **dict.fromkeys(("volumes", "gigabytes", "snapshots"), "block-storage"),
}
"""Quota name -> the service that keeps it."""


def _find(name: str) -> record.Server:
    try:
        return server.find(name)
    except server.ServerError as error:
        raise LabError(str(error)) from None


def kill_host(name: str) -> str:
    """The host is dead at once and stays so, while Nova goes on to say ACTIVE: a crashed guest on a healthy hypervisor."""
    found = _find(name)
    (server.directory_of(found.uuid) / "dead").touch()
    server.kill_supervisor(found.uuid)
    return f"{found.name} is dead; Nova has not been told"


def power_off_host(name: str) -> str:
    """The guest powers itself off; Nova learns of it as it does from a real hypervisor (SHUTOFF within seconds)."""
    found = _find(name)
    os.kill(server.init_pid(found.uuid), server_poweroff_signal())
    return f"{found.name} is shutting down"


def server_poweroff_signal() -> int:
    """systemd(1): SIGRTMIN+4 starts poweroff.target."""
    return signal.SIGRTMIN + 4


def freeze_host(name: str, frozen: bool = True) -> str:
    """Stop (or continue) every process of a host: it answers nothing, and afterwards it does not know that time has passed."""
    found = _find(name)
    state = Path("/sys/fs/cgroup/freezer/swl") / found.uuid / "freezer.state"
    if not state.exists():
        raise LabError("this machine has no freezer control groups (v1), or the server is off")
    state.write_text("FROZEN" if frozen else "THAWED")
    return f"{found.name} is {'frozen' if frozen else 'going on'}"


def cut_network(name: str) -> str:
    """Pull the cable of every interface; it stays out over reboots."""
    found = _find(name)
    (server.directory_of(found.uuid) / "cut").touch()
    for nic in found.nics:
        with contextlib.suppress(RuntimeError):
            network.set_connected(nic, False)
    return f"{found.name} is cut off"


def heal_network(name: str) -> str:
    """Put the cables back."""
    found = _find(name)
    (server.directory_of(found.uuid) / "cut").unlink(missing_ok=True)
    for nic in found.nics:
        with contextlib.suppress(RuntimeError):
            network.set_connected(nic, True)
    return f"{found.name} is connected"


def fail_build(state: str, text: str = "", count: int | None = None) -> str:
    """``on``: builds fail with a fault text (the next ``count`` ones, or all). ``off``: they work again."""
    if state == "off":
        faultswitch.write(fail_build=None)
        return "builds work"
    faultswitch.write(fail_build={"text": text, "count": count})
    return f"{'all' if count is None else f'the next {count}'} builds fail"


def no_valid_host(state: str) -> str:
    """``on``: no compute service takes servers, so that Nova answers "No valid host was found". ``off``: as before."""
    admin = content.admin()
    status = "disabled" if state == "on" else "enabled"
    for service in admin.call("GET", "compute", "/os-services?binary=nova-compute", microversion="2.53")["services"]:
        body: cloudapi.Body = {"status": status}
        if status == "disabled":
            body["disabled_reason"] = "lab break no-valid-host"
        admin.call("PUT", "compute", f"/os-services/{service['id']}", body, microversion="2.53")
    return f"compute services are {status}"


def quota(name: str, value: int) -> str:
    """Set a quota of the user's project; -1 means no limit."""
    kind = QUOTAS.get(name)
    if kind is None:
        raise LabError(f"no quota {name!r}; there are: {', '.join(sorted(QUOTAS))}")
    project = content.user().project_id
    admin = content.admin()
    if kind == "network":
        admin.call("PUT", "network", f"/v2.0/quotas/{project}", {"quota": {name: value}})
    elif kind == "compute":
        admin.call("PUT", "compute", f"/os-quota-sets/{project}", {"quota_set": {name: value, "force": True}})
    else:
        path = f"/{admin.project_id}/os-quota-sets/{project}"
        admin.call("PUT", "block-storage", path, {"quota_set": {name: value}})
    return f"quota {name} is {value}"


def kill_dockerd(name: str, stay: bool = False) -> str:
    """Kill the engine with SIGKILL. systemd starts it again after two seconds, unless ``stay``: then it stays down."""
    found = _find(name)
    if stay:
        run(*server.enter_command(found.uuid, "systemctl", "mask", "--runtime", "--now", "docker.service", "docker.socket"))
        return f"the engine of {found.name} is down and masked until its next boot"
    run(*server.enter_command(found.uuid, "systemctl", "kill", "--kill-who=main", "--signal=SIGKILL", "docker.service"))
    return f"the engine of {found.name} was killed"


def heal_dockerd(name: str) -> str:
    """Undo ``kill-dockerd --stay``."""
    found = _find(name)
    run(*server.enter_command(found.uuid, "systemctl", "unmask", "--runtime", "docker.service", "docker.socket"))
    run(*server.enter_command(found.uuid, "systemctl", "start", "docker.socket", "docker.service"))
    return f"the engine of {found.name} runs"


def wait_dead(name: str, timeout: float = 10.0) -> None:
    """Return when a killed host's processes are gone. Raises LabError when they are not."""
    found = _find(name)
    deadline = time.monotonic() + timeout
    while server.is_running(found.uuid):
        if time.monotonic() > deadline:
            raise LabError(f"{found.name} does not die")
        time.sleep(0.05)
