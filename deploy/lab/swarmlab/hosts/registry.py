"""The lab's image registry (Debian's docker-registry) on 198.51.100.1:5000, and a small pusher for its test images.

No image can be pulled from outside, so the test images are made here: one layer with a static busybox. The pusher speaks the
registry's HTTP API v2 (distribution specification) and needs no engine.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from swarmlab import paths, process
from swarmlab.errors import LabError

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"

TEST_REPOSITORY = "swarmlab/busybox"
TEST_TAGS = ("1", "2")

_SERVE = """#!/bin/sh
# Serve /www on $PORT (8080 unless told); with arguments, run those instead.
if [ $# -gt 0 ]; then exec "$@"; fi
hostname > /www/hostname
# PID 1 of a container ignores signals that it does not handle, and docker stop would wait ten seconds.
trap 'kill "$!"; exit 0' TERM INT
busybox httpd -f -v -p "${PORT:-8080}" -h /www &
wait "$!"
"""

_CONFIG = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{root}"}}
  delete: {{enabled: true}}
http:
  addr: "{address}"
"""


def url(path: str) -> str:
    """Address of an API path."""
    return f"http://{paths.REGISTRY_ENDPOINT}{path}"


def service() -> process.Service:
    """The registry as a process of the lab. The external bridge must be up: the registry listens on its address."""
    binary = shutil.which("docker-registry")
    if binary is None:
        raise LabError("docker-registry is not installed")
    (paths.REGISTRY / "data").mkdir(parents=True, exist_ok=True)
    config = paths.REGISTRY / "config.yml"
    config.write_text(_CONFIG.format(root=paths.REGISTRY / "data", address=paths.REGISTRY_ENDPOINT))
    return process.Service("registry", [binary, "serve", str(config)], is_up)


def is_up() -> bool:
    """Whether the API answers."""
    try:
        with _call("GET", "/v2/"):
            return True
    except (LabError, OSError):
        return False


def _call(method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    address = path if path.startswith("http") else url(path)
    request = urllib.request.Request(address, data, headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(request, timeout=30)
    except urllib.error.HTTPError as error:
        raise LabError(f"registry: {method} {path}: {error.code} {error.read()[:200]!r}") from None


def layer(files: dict[str, tuple[bytes, int]], links: dict[str, str]) -> bytes:
    """An uncompressed tar layer; same input, same bytes (no times, no owners), so that digests are stable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        made: set[str] = set()

        def directories(name: str) -> None:
            for parent in reversed(Path(name).parents[:-1]):
                if str(parent) not in made:
                    made.add(str(parent))
                    entry = tarfile.TarInfo(str(parent))
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if str(parent) == "tmp" else 0o755
                    archive.addfile(entry)

        for name, (content, mode) in sorted(files.items()):
            directories(name)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        for name, target in sorted(links.items()):
            directories(name)
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = tarfile.LNKTYPE, target, 0o755
            archive.addfile(entry)
    return buffer.getvalue()


def image_config(tar: bytes, tag: str) -> bytes:
    """The image's configuration (OCI image specification); the entry point serves HTTP."""
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": ["/bin/serve"],
                "Env": ["PATH=/bin", "PORT=8080"],
                "Labels": {"io.swarmops.lab.tag": tag},
                "WorkingDir": "/",
            },
            "created": "2026-01-01T00:00:00Z",
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "swarmlab"}],
        },
        sort_keys=True,
    ).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _push_blob(repository: str, data: bytes) -> str:
    digest = _digest(data)
    try:
        with _call("HEAD", f"/v2/{repository}/blobs/{digest}"):
            return digest
    except LabError:
        pass
    with _call("POST", f"/v2/{repository}/blobs/uploads/", b"") as answer:
        location = answer.headers["Location"]
    joined = f"{location}{'&' if '?' in location else '?'}digest={digest}"
    with _call("PUT", joined, data, {"Content-Type": "application/octet-stream"}):
        return digest


def push(repository: str, tag: str, tar: bytes, config: bytes) -> str:
    """Push a one-layer image and give the digest of its manifest. Safe to repeat."""
    packed = gzip.compress(tar, 6, mtime=0)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": _push_blob(repository, config)},
            "layers": [{"mediaType": LAYER_TYPE, "size": len(packed), "digest": _push_blob(repository, packed)}],
        }
    ).encode()
    with _call("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": MANIFEST_TYPE}) as answer:
        return str(answer.headers.get("Docker-Content-Digest") or _digest(manifest))


def push_test_images() -> dict[str, str]:
    """Push swarmlab/busybox:1 and :2, which differ in /www/index.html; gives tag -> digest. Raises LabError."""
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        raise LabError("busybox-static is not installed")
    binary = busybox.read_bytes()
    names = [
        "sh",
        "ls",
        "cat",
        "echo",
        "sleep",
        "httpd",
        "wget",
        "nslookup",
        "ping",
        "hostname",
        "ip",
        "ps",
        "env",
        "id",
        "true",
        "false",
        "kill",
        "grep",
        "mkdir",
        "nc",
        "date",
    ]
    digests = {}
    for tag in TEST_TAGS:
        files = {
            "bin/busybox": (binary, 0o755),
            "bin/serve": (_SERVE.encode(), 0o755),
            "www/index.html": (f"swarmlab/busybox:{tag}\n".encode(), 0o644),
            "etc/passwd": (b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
            "etc/group": (b"root:x:0:\nnogroup:x:65534:\n", 0o644),
            "tmp/.keep": (b"", 0o644),
        }
        tar = layer(files, {f"bin/{name}": "bin/busybox" for name in names})
        digests[tag] = push(TEST_REPOSITORY, tag, tar, image_config(tar, tag))
    return digests
