"""ssh key pairs for the operator's own logins."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class SshKeyPair:
    """`private` is an unencrypted OpenSSH PEM (secret), `public` one authorized_keys line without a newline."""

    private: bytes
    public: str

    def __repr__(self) -> str:
        return f"SshKeyPair(public={self.public!r})"


def new_ssh_keypair(comment: str = "swarm-operator") -> SshKeyPair:
    """A new ed25519 key pair. Nova takes ed25519 public keys as well as RSA ones (Nova API reference, keypairs)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return SshKeyPair(private, f"{public} {comment}".strip())
