"""Encryption of what is stored where others may read: in pieces, so that neither end holds all of it.

STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015; age uses it as well) with AES-256-GCM: each piece has its
number and whether it is the last one in its nonce, so that none can be left out, repeated, moved or cut off. The key of a stream is derived from the secret, a random salt and what
the stream is (HKDF, RFC 5869): no key is used for two streams, and one can't be passed off as another.

    stream := MAGIC salt[16] piece*      piece := length[4, big endian] ciphertext[length]
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC: Final = b"swarmops-sealed-1\n"
KEY_BYTES: Final = 32
_SALT: Final = 16
_PIECE: Final = 1 << 18
_TAG: Final = 16


class Broken(ValueError):
    """The stream is not what was sealed, or was sealed by another key."""


def new_key() -> bytes:
    """A secret."""
    return os.urandom(KEY_BYTES)


def seal(secret: bytes, what: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The encrypted stream. `what`: what it is, for example whose; it has to be told again to open it. Raises what `pieces` raises."""
    salt = os.urandom(_SALT)
    cipher = AESGCM(_key(secret, salt, what))
    yield MAGIC + salt
    number, held = 0, b""
    for piece in pieces:
        held += piece
        while len(held) > _PIECE:
            yield _sealed(cipher, number, held[:_PIECE], last=False)
            number, held = number + 1, held[_PIECE:]
    yield _sealed(cipher, number, held, last=True)


def unseal(secret: bytes, what: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The inverse. Nothing of a piece is given before it was found whole; what was given before a `Broken` is a true beginning, and no more."""
    held = b""
    head = len(MAGIC) + _SALT
    cipher: AESGCM | None = None
    number, finished = 0, False
    for piece in pieces:
        held += piece
        if cipher is None:
            if len(held) < head:
                continue
            if not held.startswith(MAGIC):
                raise Broken("it is no sealed stream")
            cipher, held = AESGCM(_key(secret, held[len(MAGIC) : head], what)), held[head:]
        while len(held) >= 4 and len(held) >= 4 + (length := int.from_bytes(held[:4], "big")):
            if finished or not _TAG <= length <= _PIECE + _TAG:
                raise Broken("there is something after its end" if finished else "a piece of it is of an impossible length")
            plain, finished = _opened(cipher, number, held[4 : 4 + length])
            number, held = number + 1, held[4 + length :]
            if plain:
                yield plain
    if not finished or held:
        raise Broken("it is cut off")


def _key(secret: bytes, salt: bytes, what: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, b"swarm-operator " + what.encode()).derive(secret)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _sealed(cipher: AESGCM, number: int, plain: bytes, *, last: bool) -> bytes:
    piece = cipher.encrypt(_nonce(number, last), plain, None)
    return len(piece).to_bytes(4, "big") + piece


def _opened(cipher: AESGCM, number: int, piece: bytes) -> tuple[bytes, bool]:
    """What a piece holds, and whether it is the last one."""
    for last in (False, True):
        try:
            return cipher.decrypt(_nonce(number, last), piece, None), last
        except InvalidTag:
            continue
    raise Broken("it is not what was sealed, or another key sealed it")
