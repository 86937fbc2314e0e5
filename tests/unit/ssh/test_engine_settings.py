"""What the script on the guest answers, as errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from swarm_operator.adapters.ssh import engine_settings
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap.guest_engine import DOWN, REFUSED
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.ports.hosts import CommandResult


def answering(status: int, out: str = "", err: str = "") -> engine_settings.Run:
    def run(argv: Sequence[str], stdin: bytes, timeout: float) -> CommandResult:
        assert stdin == b"{}" and not any(word == "{}" for word in argv)
        return CommandResult(status, out, err)

    return run


def test_done() -> None:
    engine_settings.apply(answering(0), b"{}", "reload")


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (REFUSED, ErrorKind.INVALID, "the engine refuses them: bad key"),
        (DOWN, ErrorKind.INVALID, "does not start with the former ones either: bad key"),
        (1, ErrorKind.TRANSIENT, "restart of the engine's settings: bad key"),
        (127, ErrorKind.TRANSIENT, "bad key"),
    ],
)
def test_what_went_wrong(status: int, kind: ErrorKind, text: str) -> None:
    with pytest.raises(ExternalError, match=text) as caught:
        engine_settings.apply(answering(status, "bad key\n"), b"{}", "restart")
    assert (caught.value.kind, caught.value.reason) == (kind, Reason.ENGINE_FAILED)


def test_an_answer_without_words() -> None:
    with pytest.raises(ExternalError, match="status 1 and no answer"):
        engine_settings.apply(answering(1), b"{}", "check")
