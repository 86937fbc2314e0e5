"""What the domain needs of web servers: the bytes behind a URL. Methods raise `ExternalError` (system "download")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError


@dataclass(frozen=True)
class Download:
    """`size` in bytes where the server tells; `chunks` can be read once."""

    size: int | None
    chunks: Iterator[bytes]


class Downloads(Protocol):
    """Opens downloads."""

    def open(self, url: str) -> AbstractContextManager[Download]:
        """INVALID: the URL is not one that is followed, or the server refuses. TRANSIENT: it does not answer, or breaks off (while `chunks` are read as well)."""


class NoDownloads:
    """Where nothing is to be fetched."""

    def open(self, url: str) -> AbstractContextManager[Download]:
        raise ExternalError(ErrorKind.INVALID, "download", "nothing is fetched here", reason=Reason.IMAGE_FAILED)
