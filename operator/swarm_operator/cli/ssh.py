"""`kubectl swarm ssh`: a login on a machine, by the cluster's own key and with the host keys that the operator has pinned.

The key is in a file of mode 0600, in a directory of mode 0700 that is removed when ssh ends, also by a signal; only SIGKILL leaves it behind, where there is one in $XDG_RUNTIME_DIR,
which is memory. Host keys that are not the pinned ones are refused, and none is learned.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from swarm_operator.api.cluster import SwarmClusterSpec
from swarm_operator.api.parse import parse_cluster
from swarm_operator.cli.context import Context, missing, wrong
from swarm_operator.controllers.cluster_facts import SSH_PRIVATE, ssh_secret_name

Json = dict[str, Any]


@dataclass(frozen=True)
class Login:
    """Where and as whom. `through` is a manager with an address that can be reached from here."""

    name: str
    address: str
    user: str
    port: int
    host_keys: tuple[str, ...]
    through: Login | None = None


def ssh(context: Context) -> int:
    """Log in, or run the command after `--`; the exit status is ssh's."""
    arguments = context.arguments
    program = shutil.which("ssh")
    if program is None:
        raise wrong("there is no ssh on the path")
    cluster, machine = context.machine(arguments.machine, arguments.cluster)
    spec = parse_cluster(cluster["spec"])
    login = login_of(cluster, spec, machine)
    reference = spec.ssh.private_key_secret_ref
    secret = context.api.secret(context.namespace, reference.name if reference is not None else ssh_secret_name(cluster["metadata"]["name"]))
    if SSH_PRIVATE not in secret:
        raise missing(f"the Secret has no key {SSH_PRIVATE}")
    with _signals(), _directory() as directory:
        config = write_files(directory, login, secret[SSH_PRIVATE])
        return _run([program, "-F", str(config), *(("-t",) if arguments.tty else ()), login.name, *arguments.command])


def login_of(cluster: Json, spec: SwarmClusterSpec, machine: Json) -> Login:
    """As the operator reaches it: managers by their floating IP where they have one, all others through such a manager. Raises NOT_FOUND where an address or the host keys
    are not known."""
    by_floating = spec.managers.floating_ip.enabled
    if not by_floating or (machine["role"] == "Manager" and machine.get("floatingIP")):
        return _login(spec, machine, machine.get("floatingIP") if by_floating else machine.get("address"))
    nodes = (cluster.get("status") or {}).get("nodes") or []
    gates = [node for node in nodes if node["role"] == "Manager" and node.get("floatingIP") and node.get("hostKeys") and node["name"] != machine["name"]]
    if not gates:
        raise missing(f"machine {machine['name']} is reached through a manager, and no manager has a floating IP and pinned host keys")
    gate = min(gates, key=lambda node: (node["phase"] != "Ready", node["slot"]))
    return _login(spec, machine, machine.get("address"), _login(spec, gate, gate["floatingIP"]))


def _login(spec: SwarmClusterSpec, machine: Json, address: str | None, through: Login | None = None) -> Login:
    keys = tuple(machine.get("hostKeys") or ())
    if not address:
        raise missing(f"machine {machine['name']} has no address yet")
    if not keys:
        raise missing(f"no host keys of machine {machine['name']} are pinned: it has joined by metadata, or is not set up yet")
    return Login(machine["name"], address, spec.ssh.user, spec.ssh.port, keys, through)


def write_files(directory: Path, login: Login, private_key: bytes) -> Path:
    """Key, known hosts and configuration (ssh_config(5)); the path of the last. `-J` would not do: what the command line says does not hold for the jump."""
    hosts = [login, *([login.through] if login.through is not None else [])]
    key = directory / "key"
    # OpenSSH refuses a key whose last line has no end.
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private_key.rstrip(b"\n") + b"\n")
    known = directory / "known_hosts"
    known.write_text("".join(f"{host.name} {host_key}\n" for host in hosts for host_key in host.host_keys))
    config = directory / "config"
    config.write_text("".join(_section(host, key, known) for host in hosts))
    return config


def _section(login: Login, key: Path, known: Path) -> str:
    lines = [
        *(f"Host {login.name}", f"HostName {login.address}", f"HostKeyAlias {login.name}", f"User {login.user}", f"Port {login.port}"),
        *(f'IdentityFile "{key}"', "IdentitiesOnly yes", "IdentityAgent none", "PreferredAuthentications publickey"),
        *(f'UserKnownHostsFile "{known}"', "GlobalKnownHostsFile /dev/null", "StrictHostKeyChecking yes", "UpdateHostKeys no", "LogLevel ERROR"),
        *([f"ProxyJump {login.through.name}"] if login.through is not None else []),
    ]
    return "\n  ".join(lines) + "\n"


@contextmanager
def _directory() -> Iterator[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    with tempfile.TemporaryDirectory(prefix="kubectl-swarm-", dir=runtime if runtime and Path(runtime).is_dir() else None) as name:
        yield Path(name)


@contextmanager
def _signals() -> Iterator[None]:
    """Signals that end us raise, so that the directory is removed. An interrupt from the terminal is ssh's."""

    def ended(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    former = {number: signal.signal(number, ended) for number in (signal.SIGTERM, signal.SIGHUP)}
    former[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _run(argv: Sequence[str]) -> int:
    process = subprocess.Popen(argv)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
