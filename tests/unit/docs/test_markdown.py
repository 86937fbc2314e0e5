"""The blocks that the tests of documents execute are all of them, with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.markdown import Block, blocks

ROOT = Path(__file__).resolve().parents[3]


def test_blocks_in_order() -> None:
    assert blocks("a\n```sh\none\n\ntwo\n```\n\n``` \nplain\n```\n") == [Block("sh", 3, "one\n\ntwo\n"), Block("", 9, "plain\n")]


def test_a_block_that_is_not_closed_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2"):
        blocks("```sh\nx\n")


def test_no_command_of_the_tutorial_is_in_a_block_of_another_kind() -> None:
    assert {block.language for block in blocks((ROOT / "docs" / "tutorial.md").read_text())} == {"sh"}
