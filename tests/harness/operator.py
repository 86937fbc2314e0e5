"""The operator as a process of its own, as a user starts it; it can be killed with -9 in the middle of its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]


class Operator:
    """`python -m swarm_operator run` for one namespace; its log goes to a file."""

    def __init__(self, env: dict[str, str], namespace: str, log: Path, *extra: str) -> None:
        self.env = {**env, "PYTHONPATH": str(ROOT / "operator"), "PYTHONUNBUFFERED": "1"}
        self.namespace = namespace
        self.log = log
        self.extra = extra
        # As a container that is started again in its pod: the same name in the lease, so that a kill -9 does not cost the time until the lease expires.
        self.identity = f"test-{uuid.uuid4().hex[:8]}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a process; the one before must be gone."""
        assert self.process is None
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "swarm_operator", "run", "--namespace", self.namespace, "--metrics-port", "0"),
                    *("--leader-identity", self.identity, *self.extra),
                ],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Send the signal and reap; the exit status. SIGKILL follows after 40 s."""
        assert self.process is not None
        process, self.process = self.process, None
        if process.poll() is None:
            os.kill(process.pid, sig)
        try:
            return process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(10)

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.stop(signal.SIGKILL)

    def __enter__(self) -> Operator:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            self.stop()
