"""The documentation builds into a site without a warning, needs nothing from elsewhere, and a broken link is an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("mkdocs.yml", "README.md", "CHANGELOG.md", "docs", "deploy", "crds", "operator")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(root / "mkdocs.yml"), "-d", str(site)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    done = build(ROOT, made)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_every_page_is_there(site: Path) -> None:
    wanted = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README.html", "index.html") for path in (ROOT / "docs").rglob("*.md")}
    made = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert made - {"404.html"} == wanted | {"index.html", "changelog.html"}


def test_links_to_the_repository_lead_to_copies(site: Path) -> None:
    assert (site / "files/deploy/examples/demo.yaml").read_text() == (ROOT / "deploy/examples/demo.yaml").read_text()
    assert "deploy/examples/demo.yaml" in (site / "quickstart.html").read_text()


def test_a_reader_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'(?:<script[^>]*\bsrc|<img[^>]*\bsrc|<link[^>]*\brel="(?:stylesheet|preconnect)"[^>]*\bhref)="?(https?:[^"> ]+)', page.read_text())
        assert not loaded, f"{page.name}: {loaded}"


@pytest.mark.parametrize("link", ["nowhere.md", "../deploy/nowhere.yaml", "concepts.md#no-such-heading"])
def test_a_broken_link_is_an_error(tmp_path: Path, link: str) -> None:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, symlinks=True)
        else:
            shutil.copy(source, tmp_path / part)
    page = tmp_path / "docs" / "quickstart.md"
    page.write_text(page.read_text() + f"\n[broken]({link})\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert link.rpartition("/")[2].partition("#")[0] in done.stdout + done.stderr
