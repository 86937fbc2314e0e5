"""Passwords of one lab: made at random once, kept in files that only root can read."""

from __future__ import annotations

import os
import secrets as random_source

from swarmlab import paths


def get(name: str) -> str:
    """The secret of that name, made on first use."""
    directory = paths.ETC / "secrets"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / name
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(random_source.token_urlsafe(24))
    except FileExistsError:
        pass
    return path.read_text()
