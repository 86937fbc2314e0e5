"""ssh host keys as cloud-init prints them on the console (cloud-init reference, modules "Keys to Console" and "SSH").

The console comes from Nova's authenticated API, so a key found there can be trusted before the first login. cloud-init prints, once per instance, a block of
fingerprints and a block of public keys; a reboot or a rebuild may leave several blocks in the log, of which the last complete one counts: it is what the guest has now.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

_KEYS: Final = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
_FINGERPRINTS: Final = re.compile(r"-----BEGIN SSH HOST KEY FINGERPRINTS-----(.*?)-----END SSH HOST KEY FINGERPRINTS-----", re.DOTALL)
_KEY: Final = re.compile(r"\b(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) (AAAA[A-Za-z0-9+/]+={0,3})(?=\s|$)")
_FINGERPRINT: Final = re.compile(r"\b(SHA256:[A-Za-z0-9+/]{43})\b")


@dataclass(frozen=True)
class ConsoleHostKeys:
    """`keys` are public keys ("ssh-ed25519 AAAA..."); `fingerprints` ("SHA256:...") are there where the image prints those only. Both can be trusted host keys."""

    keys: tuple[str, ...] = field(default_factory=tuple)
    fingerprints: tuple[str, ...] = field(default_factory=tuple)

    @property
    def trusted(self) -> tuple[str, ...]:
        """What to pin: the keys, else the fingerprints, else nothing yet."""
        return self.keys or self.fingerprints


def parse_host_keys(console: str) -> ConsoleHostKeys:
    """The host keys on a console log; empty while cloud-init has not printed a complete block. Lines that other output has torn are left out."""
    keys: tuple[str, ...] = ()
    for block in _KEYS.findall(console):
        found = tuple(dict.fromkeys(f"{kind} {blob}" for kind, blob in _KEY.findall(block) if _blob_is_of(kind, blob)))
        keys = found or keys
    fingerprints: tuple[str, ...] = ()
    for block in _FINGERPRINTS.findall(console):
        fingerprints = tuple(dict.fromkeys(_FINGERPRINT.findall(block))) or fingerprints
    return ConsoleHostKeys(keys, fingerprints)


def _blob_is_of(kind: str, blob: str) -> bool:
    """Whether the base64 text is a whole public key blob of that type (RFC 4253, section 6.6: length-prefixed fields, the first of which is the type)."""
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return False
    fields, at = [], 0
    while at + 4 <= len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return False
        fields.append(data[at + 4 : end])
        at = end
    return at == len(data) and len(fields) >= 2 and fields[0] == kind.encode()
