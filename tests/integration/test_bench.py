"""The benchmark of services runs, and what it counts: one write for what changes, none for what does not."""

from __future__ import annotations

import pytest

from bench.services import run, table
from integration.private_engine import PrivateEngine

pytestmark = pytest.mark.skipif(not PrivateEngine.possible(), reason="needs root, dockerd and ip")


def test_what_is_unchanged_costs_no_write_and_what_changes_one() -> None:
    rows = run(3)
    writes = {title: (ours.writes, peer.writes) for title, ours, peer in rows}
    assert writes["made"][0] == 3 and writes["applied again, unchanged"][0] == 0 and writes["a label of each changed"][0] == 3
    assert writes["applied again, unchanged"][1] == 3, "the peer writes all of them again"
    assert "| made |" in table(rows, 3)
