"""oslo.config files from nested mappings."""

from __future__ import annotations

from collections.abc import Mapping

Conf = dict[str, dict[str, str]]
"""Section -> option -> value."""

Snippet = Mapping[str, Mapping[str, object]]


def merge(*snippets: Snippet) -> Conf:
    """One configuration of several; a later one wins for the same option."""
    merged: Conf = {}
    for snippet in snippets:
        for section, options in snippet.items():
            merged.setdefault(section, {}).update({key: _text(value) for key, value in options.items()})
    return merged


def render(*snippets: Snippet) -> str:
    """The text of an oslo.config file. A line break in a value is an error: it would start another option."""
    lines = []
    for section, options in merge(*snippets).items():
        lines.append(f"[{section}]")
        for key, value in options.items():
            if "\n" in value:
                raise ValueError(f"[{section}] {key}: a value of one line is wanted")
            lines.append(f"{key} = {value}".rstrip())
        lines.append("")
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(item) for item in value)
    return str(value)
