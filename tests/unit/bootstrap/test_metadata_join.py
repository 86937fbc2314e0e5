"""The join script, run for real against a stand-in engine on a unix socket and a stand-in metadata service on loopback."""

from __future__ import annotations

import http.server
import json
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.bootstrap.metadata_join import join_script

TOKEN = "SWMTKN-1-secret"


class Stage:
    """What the engine and the metadata service answer, and what they were asked."""

    def __init__(self) -> None:
        self.state = "inactive"
        self.labels: list[str] = []
        self.meta: dict[str, str] = {}
        self.joins: list[dict[str, Any]] = []
        self.refusals = 0
        self.asked = 0
        self.more: dict[str, str] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    stage: Stage

    def address_string(self) -> str:
        return "guest"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, code: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        stage = self.stage
        if self.path == "/info":
            stage.asked += 1
            if stage.asked == 2:
                stage.labels = ["io.swarmops.machine-uid=m-1"]
            self.reply(200, {"Swarm": {"LocalNodeState": stage.state}, "Labels": stage.labels})
        else:
            self.reply(200, {"meta": stage.meta})
            stage.meta = {"swarm_manager": "10.0.0.1:2377, 10.0.0.2:2377", "swarm_token": TOKEN, **stage.more}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.stage.refusals:
            self.stage.refusals -= 1
            self.reply(503, {"message": f"could not use {TOKEN} now"})
            return
        self.stage.joins.append(body)
        self.stage.state = "active"
        self.reply(200, "")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("more", [{}, {"swarm_advertise": "10.20.0.9"}], ids=["one-address", "several-addresses"])
def test_waits_for_label_and_metadata_retries_and_joins_once(tmp_path: Path, more: dict[str, str]) -> None:
    stage = Stage()
    stage.more = more
    stage.refusals = 1
    handler = type("Bound", (Handler,), {"stage": stage})
    path = tmp_path / "docker.sock"

    class UnixServer(socketserver.ThreadingUnixStreamServer):
        def get_request(self) -> tuple[Any, Any]:
            connection, _ = super().get_request()
            return connection, ("guest", 0)

    with UnixServer(str(path), handler) as engine, http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as metadata:
        threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in (engine, metadata)]
        for thread in threads:
            thread.start()
        script = join_script("m-1", f"http://127.0.0.1:{metadata.server_address[1]}/meta_data.json").replace("/run/docker.sock", str(path))
        first = subprocess.run([sys.executable, "-I", "-"], input=script, capture_output=True, text=True, timeout=50, check=False)
        again = subprocess.run([sys.executable, "-I", "-"], input=script, capture_output=True, text=True, timeout=50, check=False)
        engine.shutdown()
        metadata.shutdown()
    assert (first.returncode, again.returncode) == (0, 0), first.stdout + first.stderr
    asked = {"ListenAddr": "0.0.0.0:2377", "RemoteAddrs": ["10.0.0.1:2377", "10.0.0.2:2377"], "JoinToken": TOKEN}
    assert stage.joins == [asked | ({"AdvertiseAddr": "10.20.0.9"} if more else {})]
    assert "label" in first.stdout
    assert "no manager and token yet" in first.stdout
    assert "503" in first.stdout
    assert TOKEN not in first.stdout + first.stderr
