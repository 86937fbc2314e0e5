"""What is sealed comes out as it went in, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_operator.bootstrap.sealing import Broken, new_key, seal, unseal

KEY = b"k" * 32
PIECE = 1 << 18


def sealed(data: bytes, what: str = "a") -> bytes:
    return b"".join(seal(KEY, what, iter([data[:100], data[100:]])))


def opened(stream: bytes, step: int = 65536, *, key: bytes = KEY, what: str = "a") -> bytes:
    return b"".join(unseal(key, what, (stream[i : i + step] for i in range(0, len(stream), step))))


@given(st.binary(max_size=400), st.integers(1, 50))
@settings(max_examples=50)
def test_any_content_in_any_pieces(data: bytes, step: int) -> None:
    assert opened(sealed(data), step) == data


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_sizes_around_the_pieces(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    stream = sealed(data)
    assert opened(stream) == data and (size < 8 or data[:64] not in stream) and sealed(data) != stream


def test_another_key_or_another_thing_opens_nothing() -> None:
    stream = sealed(b"secret")
    for key, what in ((b"j" * 32, "a"), (KEY, "b")):
        with pytest.raises(Broken, match="another key"):
            opened(stream, key=key, what=what)
    assert new_key() != new_key() and len(new_key()) == 32


def test_what_was_cut_off_moved_repeated_or_appended_is_refused() -> None:
    stream = sealed(b"x" * (2 * PIECE + 10))
    head = 18 + 16
    size = 4 + PIECE + 16
    first, second, last = stream[head : head + size], stream[head + size : head + 2 * size], stream[head + 2 * size :]
    for broken in (
        stream[:-1],
        stream[:head],
        b"",
        stream[:head] + first + second,
        stream[:head] + second + first + last,
        stream[:head] + first + last,
        stream[:head] + first + first + second + last,
        stream + last,
        b"X" + stream[1:],
        stream[: head + 100] + bytes([stream[head + 100] ^ 1]) + stream[head + 101 :],
        stream[:head] + b"\xff\xff\xff\xff" + first,
    ):
        with pytest.raises(Broken):
            opened(broken)


def test_an_error_of_the_source_is_passed_on() -> None:
    def source() -> object:
        yield b"x"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        b"".join(seal(KEY, "a", source()))  # type: ignore[arg-type]
