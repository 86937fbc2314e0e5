"""kubectl as a user would type it."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]


class KubectlError(AssertionError):
    """kubectl exited non-zero; the text is its stderr."""


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, env: dict[str, str], namespace: str) -> None:
        self.env = env
        self.namespace = namespace

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run it; stdout. Raises KubectlError with stderr."""
        done = subprocess.run(["kubectl", "-n", self.namespace, *args], env=self.env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip())
        return done.stdout

    def apply(self, *manifests: Manifest) -> None:
        """kubectl apply -f - of all of them. As JSON: kubectl's YAML reads a bare `y` or `n` as a boolean."""
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}))

    def get(self, kind: str, name: str) -> Manifest:
        """The object."""
        found: Manifest = json.loads(self("get", kind, name, "-o", "json"))
        return found

    def find(self, kind: str, name: str) -> Manifest | None:
        """The object, or None where there is none."""
        out = self("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(out) if out.strip() else None

    def patch(self, kind: str, name: str, body: Manifest) -> None:
        """A merge patch of the object."""
        self("patch", kind, name, "--type=merge", "-p", json.dumps(body))

    def wait(self, kind: str, name: str, condition: str = "Ready", timeout: int = 240) -> None:
        """`kubectl wait --for=condition=...`; what the object's status was is in the error."""
        try:
            self("wait", f"--for=condition={condition}", f"{kind}/{name}", f"--timeout={timeout}s", timeout=timeout + 30)
        except KubectlError as error:
            status = self.get(kind, name).get("status")
            raise KubectlError(f"{error}\nstatus: {json.dumps(status, indent=1)}") from None

    def secret(self, name: str, data: dict[str, bytes]) -> None:
        """Create or change a Secret."""
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {k: base64.b64encode(v).decode() for k, v in data.items()}})

    def secret_data(self, name: str) -> dict[str, bytes]:
        """The decoded data of a Secret."""
        return {k: base64.b64decode(v) for k, v in self.get("secret", name)["data"].items()}


def condition(resource: Manifest, kind: str) -> Manifest:
    """The condition of that type; an empty mapping where it is not set."""
    found: Manifest = next((c for c in resource.get("status", {}).get("conditions", []) if c["type"] == kind), {})
    return found


def eventually(check: Callable[[], Any], *, within: float, every: float = 0.5, what: str = "") -> Any:
    """The first truthy result of `check`; the last exception or result is in the error after `within` seconds."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            last = check()
            if last:
                return last
        except (AssertionError, KeyError, IndexError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {what or check}; last: {last!r}")
        time.sleep(every)


def manifests(path: Path) -> list[Manifest]:
    """The documents of a YAML file."""
    return [m for m in yaml.safe_load_all(path.read_text()) if m]
