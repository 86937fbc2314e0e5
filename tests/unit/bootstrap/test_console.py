"""Host keys from the console, as cloud-init 22.4's write-ssh-key-fingerprints lays them out."""

from __future__ import annotations

import pytest

from swarm_operator.bootstrap.console import parse_host_keys
from swarm_operator.bootstrap.keys import new_ssh_keypair

ONE, TWO, THREE = (" ".join(new_ssh_keypair().public.split()[:2]) for _ in range(3))
FINGERPRINT = "SHA256:" + "Ab0+/" * 8 + "xyz"


def block(*keys: str) -> str:
    return "-----BEGIN SSH HOST KEY KEYS-----\n" + "\n".join(f"{key} root@demo" for key in keys) + "\n-----END SSH HOST KEY KEYS-----\n"


def test_nothing_before_the_block_is_complete() -> None:
    assert parse_host_keys("") == parse_host_keys(block(ONE).split("-----END")[0])
    assert parse_host_keys(block(ONE).split("-----END")[0]).trusted == ()


def test_keys_without_comment_and_with_carriage_returns() -> None:
    assert parse_host_keys(("[   11.1] cloud-init\n" + block(ONE, TWO)).replace("\n", "\r\n")).keys == (ONE, TWO)


def test_last_complete_block_counts() -> None:
    assert parse_host_keys(block(ONE) + "reboot\n" + block(TWO) + block(THREE).split("-----END")[0]).keys == (TWO,)


@pytest.mark.parametrize(
    "torn", [ONE[:50], ONE[:40] + "[ 12.0] eth0 up" + ONE[40:], "ssh-rsa " + ONE.split()[1]], ids=["cut short", "with another line in it", "of another type"]
)
def test_torn_or_mislabelled_keys_are_left_out(torn: str) -> None:
    assert parse_host_keys(block(torn, TWO)).keys == (TWO,)


def test_fingerprints_where_there_are_no_keys() -> None:
    console = (
        "ci-info: no authorized SSH keys fingerprints found for user debian.\n"
        "<14>Nov 23 10:00:00 cloud-init: #############################################################\n"
        "<14>Nov 23 10:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\n"
        f"<14>Nov 23 10:00:00 cloud-init: 256 {FINGERPRINT} root@demo (ED25519)\n"
        "<14>Nov 23 10:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\n"
    )
    assert parse_host_keys(console).trusted == (FINGERPRINT,)
    assert parse_host_keys(console + block(ONE)).trusted == (ONE,)
