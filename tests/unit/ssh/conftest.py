"""An ssh server with stand-ins for `sudo` and `docker`, and an engine on a unix socket behind the latter."""

from __future__ import annotations

import http.server
import importlib.util
import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.adapters.ssh import SshHosts
from swarm_operator.bootstrap.keys import SshKeyPair, new_ssh_keypair
from swarm_operator.ports.hosts import HostTarget

_spec = importlib.util.spec_from_file_location("ssh_sshserver", Path(__file__).with_name("sshserver.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["ssh_sshserver"] = _module
_spec.loader.exec_module(_module)

_SUDO = '#!/bin/sh\n[ "$1 $2" = "-n --" ] || { echo "sudo: unexpected options" >&2; exit 64; }\nshift 2\nexec "$@"\n'
_DOCKER = """#!{python}
import os, select, socket, sys
assert sys.argv[1:] == ["system", "dial-stdio"], sys.argv
peer = socket.socket(socket.AF_UNIX)
try:
    peer.connect("{socket}")
except OSError:
    sys.exit("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
sources = [0, peer]
while peer in sources:
    for ready in select.select(sources, [], [])[0]:
        data = peer.recv(65536) if ready is peer else os.read(0, 65536)
        if not data:
            sources.remove(ready)
        elif ready is peer:
            while data:
                data = data[os.write(1, data):]
        else:
            peer.sendall(data)
"""


@pytest.fixture(scope="session")
def user_key() -> SshKeyPair:
    return new_ssh_keypair()


@pytest.fixture
def engine_socket(tmp_path: Path) -> Path:
    return tmp_path / "docker.sock"


@pytest.fixture
def server(tmp_path: Path, user_key: SshKeyPair, engine_socket: Path) -> Iterator[Any]:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {"sudo": _SUDO, "docker": _DOCKER.format(python=sys.executable, socket=engine_socket)}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    server = _module.SshServer(tools, user_key)
    yield server
    server.close()


@pytest.fixture
def target(server: Any) -> HostTarget:
    return HostTarget("127.0.0.1", "debian", server.public, server.port)


@pytest.fixture
def hosts() -> Iterator[SshHosts]:
    hosts = SshHosts()
    yield hosts
    hosts.close()


class Engine:
    """A scripted engine: `on[(method, path)]` is called with the body and gives status and JSON."""

    def __init__(self) -> None:
        self.on: dict[tuple[str, str], Callable[[Any], tuple[int, Any]]] = {}
        self.asked: list[tuple[str, str, Any]] = []


@pytest.fixture
def engine(engine_socket: Path) -> Iterator[Engine]:
    scripted = Engine()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Silent."""

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            scripted.asked.append((self.command, self.path, body))
            status, answer = scripted.on[(self.command, self.path)](body)
            data = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")  # as the engine does for long answers
            self.end_headers()
            for at in range(0, len(data), 10_000):
                part = data[at : at + 10_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = _serve

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            return super().get_request()[0], ("guest", 0)

    with Server(str(engine_socket), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield scripted
        running.shutdown()
