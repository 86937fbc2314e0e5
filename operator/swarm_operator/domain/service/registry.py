"""Registry credentials for an image, and its digest: pure parts of imagePullSecrets and imagePolicy."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.api.materials import ImageStatus, Platform
from swarm_operator.api.reasons import Reason
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service import canonical
from swarm_operator.domain.service.live import LiveService
from swarm_operator.domain.service.materials import MaterialProblem
from swarm_operator.domain.swarm import ImageManifest

DEFAULT_REGISTRY: Final = "docker.io"
DOCKER_CONFIG: Final = ".dockerconfigjson"
NO_CREDENTIALS: Final = base64.urlsafe_b64encode(b"{}").decode("ascii")
"""X-Registry-Auth that makes the engine forget what it had: without the header it keeps it."""


@dataclass(frozen=True)
class Credentials:
    """The value of X-Registry-Auth for one image, and a keyed hash of it that may be shown."""

    header: str = field(repr=False)
    digest: str


def registry_of(image: str) -> tuple[str, str]:
    """Host (with port) and path of an image (distribution/reference `splitDockerDomain`)."""
    name = image.partition("@")[0]
    host, slash, rest = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, rest = DEFAULT_REGISTRY, name
    if host == "index.docker.io":
        host = DEFAULT_REGISTRY
    path = rest if ":" not in rest.rpartition("/")[2] else rest.rpartition(":")[0]
    return host, path if host != DEFAULT_REGISTRY or "/" in path else f"library/{path}"


def credentials(image: str, documents: Iterable[tuple[str, Mapping[str, bytes] | None]], hash_key: bytes) -> Credentials | None:
    """The credentials for the image out of Secrets (name, data), None where none of them has any for its registry. Among entries that match, the longest path wins, as in
    the kubelet (Kubernetes documentation, "Images", Interpretation of config.json). Raises MaterialProblem."""
    host, path = registry_of(image)
    best: tuple[int, Mapping[str, Any]] | None = None
    for name, data in documents:
        for key, entry in _entries(name, data).items():
            weight = _match(key, host, path)
            if weight is not None and (best is None or weight > best[0]):
                best = (weight, {**entry, "_secret": name})
    if best is None:
        return None
    header = _header(best[1], host)
    return Credentials(header, hmac.new(hash_key, f"registry\0{header}".encode(), hashlib.sha256).hexdigest()[:32])


def _entries(name: str, data: Mapping[str, bytes] | None) -> Mapping[str, Mapping[str, Any]]:
    if data is None or DOCKER_CONFIG not in data:
        told = f"there is no Secret {name!r}" if data is None else f"Secret {name!r} has no key {DOCKER_CONFIG!r}"
        raise MaterialProblem(Reason.SECRET_NOT_FOUND, told)
    try:
        auths = json.loads(data[DOCKER_CONFIG])["auths"]
        return {str(key): dict(entry) for key, entry in auths.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        # Without the cause: its text would quote the Secret.
        raise MaterialProblem(Reason.MATERIAL_INVALID, f"Secret {name!r} holds no docker configuration with `auths`") from None


def _match(key: str, host: str, path: str) -> int | None:
    """How well an entry's key fits: None, or the length of the path that it names."""
    plain = key.partition("://")[2] if "://" in key else key
    there, _, prefix = plain.partition("/")
    if there == "index.docker.io":
        there = DEFAULT_REGISTRY
    prefix = prefix.strip("/")
    if prefix in ("v1", "v2"):
        prefix = ""
    labels, wanted = there.split("."), host.split(".")
    if len(labels) != len(wanted) or not all(fnmatch.fnmatchcase(have, pattern) for have, pattern in zip(wanted, labels, strict=True)):
        return None
    if prefix and path != prefix and not path.startswith(prefix + "/"):
        return None
    return len(prefix)


def _header(entry: Mapping[str, Any], host: str) -> str:
    """Docker Engine API, "Authentication": base64url of a JSON document."""
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if not (username or password) and entry.get("auth"):
        try:
            username, _, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise MaterialProblem(Reason.MATERIAL_INVALID, f"Secret {entry['_secret']!r}: `auth` for {host} is not base64") from None
    token = str(entry.get("identitytoken") or "")
    server = "https://index.docker.io/v1/" if host == DEFAULT_REGISTRY else host
    document = {"identitytoken": token, "serveraddress": server} if token else {"username": username, "password": password, "serveraddress": server}
    return base64.urlsafe_b64encode(json.dumps(document, sort_keys=True).encode()).decode("ascii")


def known_image(spec: SwarmServiceSpec, previous: ImageStatus | None, own: LiveService | None) -> ImageStatus | None:
    """What is known of the digest without asking: from the last status, else from the live service (the status was lost, or another client pinned it). None where the
    registry has to be asked."""
    if previous is not None and previous.requested == spec.image:
        return previous
    if own is None:
        return None
    raw = (((own.spec.get("TaskTemplate") or {}).get("ContainerSpec")) or {}).get("Image")
    live, wanted = canonical.image(raw), canonical.image(spec.image)
    if live.digest and (live.name, live.tag) == (wanted.name, wanted.tag):
        return ImageStatus(requested=spec.image, resolved=str(raw))
    return None


def pinned(image: str, manifest: ImageManifest) -> ImageStatus:
    """The image with the registry's digest. Platforms as the Docker CLI takes them (moby `client/service_create.go`): without unknown ones, any architecture for arm."""
    parsed = canonical.image(image)
    platforms = list(
        dict.fromkeys(
            ("" if architecture == "arm" else architecture, system) for architecture, system in manifest.platforms if "unknown" not in (architecture, system)
        )
    )
    return ImageStatus(
        requested=image,
        resolved=f"{parsed}@{manifest.digest}",
        platforms=[Platform(architecture=architecture, os=system) for architecture, system in platforms],
    )
