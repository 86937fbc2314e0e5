"""`make krew`: the archive of the kubectl plugin and its krew manifest, into build/krew/. The same sources give the same archive, byte by byte.

Usage: deploy/krew/build.py BASE_URL [DIRECTORY]
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NAME_PATTERN = re.compile(r"@([A-Z0-9_]+)@")


def version() -> str:
    """As krew wants it: vMAJOR.MINOR.PATCH."""
    text = (ROOT / "operator" / "swarm_operator" / "__init__.py").read_text()
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None
    return f"v{found.group(1)}"


def contents() -> dict[str, tuple[bytes, int]]:
    """Content and mode of the archive's files, by name."""
    launcher, lock = (HERE / "kubectl-swarm").read_bytes(), (ROOT / "requirements.txt").read_bytes()
    files: dict[str, tuple[bytes, int]] = {
        "kubectl-swarm": (launcher, 0o755),
        "kubectl_complete-swarm": (launcher, 0o755),
        "requirements.txt": (lock, 0o644),
        # Names the virtual environment: another lock file makes another one.
        "LOCK": (hashlib.sha256(lock).hexdigest()[:16].encode(), 0o644),
    }
    package = ROOT / "operator"
    for path in sorted(package.glob("swarm_operator/**/*")):
        if path.suffix == ".py" or path.name == "py.typed":
            files[path.relative_to(package).as_posix()] = (path.read_bytes(), 0o644)
    return files


def archive() -> bytes:
    """The tar.gz, without times and owners."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as bundle,
    ):
        for name, (data, mode) in sorted(contents().items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            bundle.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def manifest(base_url: str, sha256: str) -> str:
    """deploy/krew/swarm.yaml with its blanks filled in."""
    values = {"VERSION": version(), "BASE_URL": base_url.rstrip("/"), "SHA256": sha256}
    text = (HERE / "swarm.yaml").read_text()
    # The comment on top is about the blanks.
    return NAME_PATTERN.sub(lambda match: values[match.group(1)], text[text.index("apiVersion:") :])


def main(base_url: str, directory: Path) -> None:
    """Write both."""
    directory.mkdir(parents=True, exist_ok=True)
    data, name = archive(), f"kubectl-swarm-{version()}.tar.gz"
    (directory / name).write_bytes(data)
    (directory / "swarm.yaml").write_text(manifest(base_url, hashlib.sha256(data).hexdigest()))
    print(f"{directory / name}\n{directory / 'swarm.yaml'}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "build" / "krew")
