"""swarmlab.ini: configuration files of the lab's OpenStack services."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from swarmlab import ini


def test_a_later_snippet_wins_and_adds() -> None:
    merged = ini.merge({"DEFAULT": {"host": "a", "workers": 1}}, {"DEFAULT": {"host": "b"}, "vnc": {"enabled": False}})

    assert merged == {"DEFAULT": {"host": "b", "workers": "1"}, "vnc": {"enabled": "false"}}


def test_rendered_text_reads_back_as_it_was() -> None:
    text = ini.render({"database": {"connection": Path("/x/y"), "names": ["a", "b"], "empty": ""}, "quota": {"instances": -1}})

    parsed = configparser.RawConfigParser()
    parsed.read_string(text)
    assert {name: dict(parsed[name]) for name in parsed.sections()} == {
        "database": {"connection": "/x/y", "names": "a,b", "empty": ""},
        "quota": {"instances": "-1"},
    }


def test_a_value_cannot_smuggle_in_another_option() -> None:
    with pytest.raises(ValueError, match="one line"):
        ini.render({"DEFAULT": {"host": "a\nadmin_token = x"}})
