"""docs/services.md says which field a flag becomes: its rows are the cases that the real CLI is compared with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from integration.test_cli_parity import CASES, GATED, ONLY_OURS
from swarm_operator.api.service import SwarmServiceSpec
from swarm_operator.domain.service.render import Owner, render

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "services.md").read_text()


def fields(manifest: dict[str, Any]) -> list[str]:
    def leaves(fields: dict[str, Any]) -> dict[str, Any]:
        spec = SwarmServiceSpec.model_validate({"clusterRef": {"name": "c"}, "image": "none:1", **fields})
        return dict(render(spec, Owner("u", "n", "w"), {"blue": "b"}).leaves)

    plain = leaves({})
    return [name for name, value in leaves(manifest).items() if value != plain.get(name)]


def test_the_table_holds_every_case_of_the_parity_test() -> None:
    for case in CASES:
        flags = list(dict.fromkeys(re.findall(r"--[a-z-]+", case.flags)))
        if flags:
            row = f"| {', '.join(f'`{f}`' for f in flags)} | {', '.join(f'`{f}`' for f in fields(case.manifest))} |"
            assert row in PAGE


def test_fields_without_a_case_are_named() -> None:
    for name in (*ONLY_OURS, *GATED):
        assert name.rsplit(".", 1)[-1] in PAGE
