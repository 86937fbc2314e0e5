"""A real image registry (Debian's docker-registry) beside a private engine, with a password; it answers on the engine's own loopback only, where no TLS is asked for."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import bcrypt

from integration.private_engine import NETNS, PrivateEngine

HOST = "127.0.0.1:5000"


class PrivateRegistry:
    """Starts on `start`, is stopped by its process id on `stop`. `passwords` can be changed while it runs: the file is read at every request."""

    def __init__(self, engine: PrivateEngine, user: str, password: str) -> None:
        self._engine, self.user = engine, user
        self._dir = Path(tempfile.mkdtemp(prefix="swo-registry-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.set_password(password)
        (self._dir / "config.yml").write_text(
            json.dumps(
                {
                    "version": 0.1,
                    "storage": {"filesystem": {"rootdirectory": str(self._dir / "data")}},
                    "http": {"addr": HOST},
                    "auth": {"htpasswd": {"realm": "test", "path": str(self._dir / "htpasswd")}},
                }
            )
        )

    @staticmethod
    def possible() -> bool:
        return PrivateEngine.possible() and shutil.which("docker-registry") is not None

    def set_password(self, password: str) -> None:
        self.password = password
        (self._dir / "htpasswd").write_text(f"{self.user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n")

    def docker_config(self) -> bytes:
        """A .dockerconfigjson with the present password."""
        auth = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return json.dumps({"auths": {f"http://{HOST}/v2/": {"auth": auth}}}).encode()

    def start(self) -> None:
        log = (self._dir / "log").open("ab")
        command = ["nsenter", f"--net=/run/netns/{NETNS}", "docker-registry", "serve", str(self._dir / "config.yml")]
        self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20
        while self._engine.docker("login", "-u", self.user, "-p", self.password, HOST, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("docker-registry did not start:\n" + (self._dir / "log").read_text()[-2000:])
            time.sleep(0.2)

    def push(self, local: str, name: str) -> None:
        """Put a local image there as HOST/name."""
        self._engine.docker("tag", local, f"{HOST}/{name}")
        self._engine.docker("push", f"{HOST}/{name}")

    def stop(self) -> None:
        self._engine.docker("logout", HOST, check=False)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)
        shutil.rmtree(self._dir, ignore_errors=True)


__all__ = ["HOST", "PrivateRegistry"]
