from __future__ import annotations

import pytest

from swarm_operator.telemetry.redaction import MASK, redact

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("joined with SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx:2377", "3pu6hszjas"),
        ("unlock SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8", "7c37Cc"),
        (f"key is {PEM} indeed", "b3BlbnNzaC1rZXk"),
        (repr(PEM), "b3BlbnNzaC1rZXk"),
        ("cut -----BEGIN RSA PRIVATE KEY-----\nMIIE", "MIIE"),
        ("password: hunter2", "hunter2"),
        ('{"password": "hunter2 with spaces", "user": "x"}', "hunter2"),
        ("os_password=hunter2&user=x", "hunter2"),
        ("{'application_credential_secret': 'hunter2'}", "hunter2"),
        ("Authorization: Bearer abcdefgh123", "abcdefgh123"),
        ("sent 'X-Auth-Token': 'gAAAAABhunter'", "gAAAAABhunter"),
        ("refused bearer eyJhbGciOi.J9.x-_y", "eyJhbGciOi"),
        ("rabbit://openstack:hunter2@10.0.0.1:5672/", "hunter2"),
        ('{"swarm_token": "hunter2"}', "hunter2"),
    ],
)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)
    assert MASK in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Secret 'cloud-credentials' not found",
        "server swarm-demo-manager-0 ACTIVE at 198.51.100.11",
        "tcp://198.51.100.11:2376",
        "token accepted by http://127.0.0.1:15000/v3",
        "the password is not in clouds.yaml",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert redact(text) == text


def test_what_stands_around_a_secret_stays() -> None:
    assert redact('{"password": "p", "user": "bob"}') == f'{{"password": {MASK}, "user": "bob"}}'
    assert redact(f"a {PEM} b") == f"a {MASK} b"
