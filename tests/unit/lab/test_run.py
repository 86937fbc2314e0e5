"""`make test` runs the tests on the lab from the folders that hold them, and from no other."""

from __future__ import annotations

import run


def test_every_test_on_the_lab_is_where_make_test_looks() -> None:
    mark = "pytest.mark." + "lab"
    marked = {path.parent for path in (run.ROOT / "tests").rglob("test_*.py") if mark in path.read_text()}
    assert {str(folder.relative_to(run.ROOT)) for folder in marked} == set(run.PLACES)
