"""Hooks of mkdocs (`mkdocs.yml`): the README is the first page, CHANGELOG.md a page, and links out of `docs/` to a file of the repository lead to a copy of it in the site."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
COPIES = PurePosixPath("files")
_CODE = re.compile(r"(^```.*?^```[ \t]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of `docs/`."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    files.append(File.generated(config, "changelog.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files, **_: Any) -> str:
    """Point links out of `docs/` to pages or copies. Raises PluginError for a link to what is not in the repository."""
    here = ROOT if page.file.src_uri in ("index.md", "changelog.md") else (ROOT / "docs" / page.file.src_uri).parent

    def moved(found: re.Match[str]) -> str:
        target, anchor = found[2], found[3] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        path = (here / target).resolve()
        if not path.is_relative_to(ROOT) or not path.exists():
            raise PluginError(f"{page.file.src_uri}: {target} is not in the repository")
        uri = _uri(path, config, files)
        up = "../" * page.file.src_uri.count("/")
        return f"{found[1]}{up}{uri}{anchor}{found[4]}"

    return "".join(part if part.startswith("`") else _LINK.sub(moved, part) for part in _CODE.split(markdown))


def _uri(path: Path, config: MkDocsConfig, files: Files) -> str:
    """Where a file of the repository is in the site, relative to its root; copies it when it is not in `docs/`."""
    if path == ROOT / "README.md":
        return "index.md"
    if path == ROOT / "CHANGELOG.md":
        return "changelog.md"
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix() + ("/README.md" if path.is_dir() else "")
    if path.is_dir():
        raise PluginError(f"{path.relative_to(ROOT)} is a directory: link to a file of it")
    # As text: Markdown would become a page, whose own links then lead nowhere.
    uri = (COPIES / path.relative_to(ROOT).as_posix()).as_posix() + ("" if path.suffix in (".svg", ".png", ".json", ".yaml") else ".txt")
    if files.get_file_from_path(uri) is None:
        files.append(File.generated(config, uri, content=path.read_bytes()))
    return uri
