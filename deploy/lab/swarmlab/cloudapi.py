"""A small client of the OpenStack APIs with nothing but the standard library, for what ``lab up`` puts into the cloud."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

from swarmlab import openstack_conf, paths
from swarmlab.errors import LabError

ENDPOINTS = {
    "identity": f"http://{paths.LOOPBACK}:{paths.PORT_KEYSTONE}/v3",
    "image": f"http://{paths.LOOPBACK}:{paths.PORT_GLANCE}",
    "placement": f"http://{paths.LOOPBACK}:{paths.PORT_PLACEMENT}",
    "network": f"http://{paths.LOOPBACK}:{paths.PORT_NEUTRON}",
    "compute": f"http://{paths.LOOPBACK}:{paths.PORT_NOVA}/v2.1",
    "block-storage": f"http://{paths.LOOPBACK}:{paths.PORT_CINDER}/v3",
}
"""Service type -> base address. The same go into Keystone's catalog."""

Body = dict[str, Any]


class ApiError(LabError):
    """An API refused a call; ``status`` is the HTTP status."""

    def __init__(self, method: str, url: str, status: int, text: str) -> None:
        super().__init__(f"{method} {url}: {status} {text[:400]}")
        self.status = status


class Cloud:
    """A token for one user in one project, and calls with it."""

    def __init__(self, user: str, password: str, project: str) -> None:
        identity: Body = {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}},
        }
        scope: Body = {"project": {"name": project, "domain": {"id": "default"}}}
        url = f"{openstack_conf.AUTH_URL}/auth/tokens"
        with _send("POST", url, {}, json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()) as answer:
            self._token = answer.headers["X-Subject-Token"]
            self.project_id: str = json.load(answer)["token"]["project"]["id"]

    def call(self, method: str, service: str, path: str, body: Body | None = None, microversion: str = "") -> Body:
        """One JSON call; an empty answer is an empty mapping. Raises ApiError."""
        headers = {"X-Auth-Token": self._token}
        if microversion:
            headers["OpenStack-API-Version"] = f"{service} {microversion}"
        data = None if body is None else json.dumps(body).encode()
        with _send(method, ENDPOINTS[service] + path, headers, data) as answer:
            raw = answer.read()
        parsed: Body = json.loads(raw) if raw else {}
        return parsed

    def upload(self, path: str, content: bytes | Iterable[bytes]) -> None:
        """Put the content of an image (Glance: PUT /v2/images/ID/file)."""
        headers = {"X-Auth-Token": self._token, "Content-Type": "application/octet-stream"}
        _send("PUT", ENDPOINTS["image"] + path, headers, content).close()


def _send(method: str, url: str, headers: dict[str, str], data: bytes | Iterable[bytes] | None) -> Any:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(request, timeout=60)
    except urllib.error.HTTPError as error:
        raise ApiError(method, url, error.code, error.read().decode(errors="replace")) from None
    except OSError as error:
        raise LabError(f"{method} {url}: {error}") from None
