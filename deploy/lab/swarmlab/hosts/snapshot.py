"""A server's disk as one tar file: what Nova uploads to Glance for a snapshot, and boots from again.

The archive holds the overlay's upper layer and the plain directories (the engine's data among them) with owners,
extended attributes and the overlay's whiteouts (character devices 0:0).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from swarmlab.hosts.guestroot import PLAIN_DIRECTORIES

CONTENT = "overlay-tar"
"""Value of the image property swarmlab_content."""

_OPTIONS = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse")


def pack(directory: Path, archive: Path) -> None:
    """Write the archive. The server may be running: the content is then what a power cut would have left.

    Raises RuntimeError when tar fails (files that change while being read are no failure).
    """
    subprocess.run(["sync", "-f", str(directory)], check=False)
    names = ["upper", *(name.replace("/", "-") for name in PLAIN_DIRECTORIES)]
    command = ["tar", "-C", str(directory / "disk"), "--one-file-system", *_OPTIONS, "-cf", str(archive), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"tar failed with {done.returncode}: {done.stderr.strip()[-500:]}")


def unpack(archive: Path, directory: Path) -> None:
    """Fill a new server's disk. Raises RuntimeError when the archive can't be read."""
    command = ["tar", "-C", str(directory / "disk"), *_OPTIONS[:4], "-xpf", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"tar failed with {done.returncode}: {done.stderr.strip()[-500:]}")
