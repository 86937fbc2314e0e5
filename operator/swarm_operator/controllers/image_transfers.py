"""Long transfers beside the reconciles: images from the web into Glance. A reconcile begins one and asks in later ones how it goes.

Nothing here survives the process: a new one begins anew where Glance says that an image is still empty.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from swarm_operator.api.images import UrlImage
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import IMAGE_IMPORT, IMAGE_VERIFIED
from swarm_operator.ports.compute import Cloud
from swarm_operator.ports.downloads import Downloads

MOST_BYTES: Final = 64 << 30
"""Largest image that is fetched."""
WEB_DOWNLOAD: Final = "web-download"
_FALL_BACK: Final = frozenset({ErrorKind.INVALID, ErrorKind.FORBIDDEN, ErrorKind.CONFLICT, ErrorKind.NOT_FOUND})
"""Glance does not import from there: it may have a rule on hosts or ports, or the method is switched off."""


class Transfers:
    """Thread safe. `threads` 0: a job is done by whoever begins it."""

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="transfer") if threads else None
        self._jobs: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def run(self, key: str, job: Callable[[], None]) -> bool:
        """Begin the job, unless it runs; True once it has ended well. Raises the ExternalError that it ended with, once: the next call begins it anew."""
        with self._lock:
            future = self._jobs.get(key)
            if future is None and self._pool is not None:
                self._jobs[key] = self._pool.submit(job)
                return False
            if future is None:
                future = Future()
            elif not future.done():
                return False
            self._jobs.pop(key, None)
        if self._pool is None:
            job()
            return True
        future.result()
        return True

    def close(self) -> None:
        """Begin nothing more; what runs is cut off with the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def fill_image(cloud: Cloud, downloads: Downloads, image_id: str, source: UrlImage, *, imported: bool) -> None:
    """Bring the content of `source` into an empty image: by Glance itself where it can and the checksum is one that it computes (`imported`: it was asked before), else through
    the operator. The last chunk goes out only when the checksum is right, so that a wrong content never becomes an image."""
    if not imported and source.checksum.startswith("sha512:") and WEB_DOWNLOAD in cloud.image_import_methods():
        cloud.set_image_property(image_id, IMAGE_IMPORT, WEB_DOWNLOAD)
        try:
            cloud.import_image(image_id, source.url)
        except ExternalError as error:
            if error.kind not in _FALL_BACK:
                raise
        else:
            return
    with downloads.open(source.url) as download:
        if download.size is not None and download.size > MOST_BYTES:
            raise _refused(f"is {download.size} bytes long, more than {MOST_BYTES}")

        def verified() -> None:
            cloud.set_image_property(image_id, IMAGE_VERIFIED, source.checksum)

        cloud.upload_image(image_id, checked(download.chunks, source.checksum, verified))


def checked(chunks: Iterator[bytes], checksum: str, verified: Callable[[], None], most: int = MOST_BYTES) -> Iterator[bytes]:
    """The chunks, one behind; `verified` is called, and the last one given, when all of them together have the checksum (`sha256:...` or `sha512:...`). Raises INVALID with
    reason ImageFailed where they have not, or are more than `most` bytes."""
    algorithm, _, wanted = checksum.partition(":")
    digest, size, last = hashlib.new(algorithm), 0, b""
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise _refused(f"is longer than {most} bytes")
        digest.update(chunk)
        if last:  # an empty piece would end the request
            yield last
        last = chunk
    if digest.hexdigest() != wanted:
        raise _refused(f"the content has the checksum {algorithm}:{digest.hexdigest()}, not the declared one")
    verified()
    if last:
        yield last


def _refused(message: str) -> ExternalError:
    return ExternalError(ErrorKind.INVALID, "download", message, reason=Reason.IMAGE_FAILED)
