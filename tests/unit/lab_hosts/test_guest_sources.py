"""Where the guest image's packages come from is read from this machine's apt, not written down."""

from __future__ import annotations

import pytest

from swarmlab.hosts import guestimage
from swarmlab.hosts.guestimage import AptSource

DEB822 = """\
Types: deb
# a snapshot
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /ring.gpg

Types: deb deb-src
URIs: http://mirror.invalid/security
Suites: bookworm-security
Components: main
 contrib

Types: deb
Enabled: no
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
"""


def test_deb822_sources_are_read_and_disabled_ones_left_out() -> None:
    assert guestimage.parse_deb822(DEB822) == [
        AptSource("http://mirror.invalid/debian", ("bookworm", "bookworm-updates"), ("main",), "/ring.gpg"),
        AptSource("http://mirror.invalid/security", ("bookworm-security",), ("main", "contrib"), ""),
    ]


def test_one_line_sources_with_and_without_options() -> None:
    text = "# deb http://no.invalid x main\ndeb [arch=amd64 signed-by=/k] http://a.invalid/d bookworm main # note\n"
    text += "deb-src http://a.invalid/d bookworm main\ndeb http://b.invalid/d sid main contrib\n"
    assert guestimage.parse_one_line(text) == [
        AptSource("http://a.invalid/d", ("bookworm",), ("main",), "/k"),
        AptSource("http://b.invalid/d", ("sid",), ("main", "contrib"), ""),
    ]


def test_sources_are_pointed_at_the_wanted_suite_and_strangers_dropped() -> None:
    sources = [*guestimage.parse_deb822(DEB822), AptSource("http://other.invalid/apt", ("cloud-sdk",), ("main",), "")]
    assert guestimage.debian_sources(sources, "trixie") == [
        AptSource("http://mirror.invalid/debian", ("trixie",), ("main",), "/ring.gpg"),
        AptSource("http://mirror.invalid/debian", ("trixie-updates",), ("main",), "/ring.gpg"),
        AptSource("http://mirror.invalid/security", ("trixie-security",), ("main",), ""),
    ]


def test_a_machine_without_debian_archive_is_told_so() -> None:
    with pytest.raises(guestimage.ImageError, match="no Debian main archive"):
        guestimage.debian_sources([AptSource("http://x.invalid", ("nodistro",), ("main",), "")], "bookworm")


def test_only_settings_that_reach_a_mirror_go_into_the_chroot() -> None:
    dump = 'Acquire::http::Proxy "http://p.invalid:1";\nAcquire::Languages "none";\nAcquire::Check-Date "false";\nAPT::X "1";\n'
    assert guestimage.acquire_settings(dump) == ['Acquire::http::Proxy "http://p.invalid:1";', 'Acquire::Check-Date "false";']


def test_no_mirror_is_named_in_the_recipe() -> None:
    for path in guestimage.GUEST.rglob("*"):
        if path.is_file():
            assert "deb http" not in path.read_text()


def test_the_recipe_differs_by_suite() -> None:
    assert guestimage.recipe_hash("bookworm") != guestimage.recipe_hash("trixie")
