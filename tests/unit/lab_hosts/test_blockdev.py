"""Volumes must never get a node in this machine's own /dev."""

from __future__ import annotations

import os

import pytest

from swarmlab.hosts import blockdev


def test_a_process_with_our_root_is_no_guest_yet() -> None:
    with pytest.raises(RuntimeError, match="no root of its own"):
        blockdev.await_root(os.getpid(), seconds=0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_one_with_a_root_of_its_own_is(tmp_path: object) -> None:
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.chroot(str(tmp_path))
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        blockdev.await_root(child, seconds=5)
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)
