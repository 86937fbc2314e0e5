"""The certificate authority of one cluster, and the certificates for mutual TLS with its engines (Docker documentation, "Protect the Docker daemon socket")."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Usage = Literal["server", "client"]

CA_LIFETIME: Final = timedelta(days=3650)
CERT_LIFETIME: Final = timedelta(days=365)
_BACKDATE: Final = timedelta(hours=1)
"""A guest's clock may lag when it first reads its certificate."""


@dataclass(frozen=True)
class PemPair:
    """A certificate and its private key (secret), both PEM."""

    cert: bytes
    key: bytes

    def __repr__(self) -> str:
        return "PemPair(...)"


def new_ca(common_name: str, now: datetime) -> PemPair:
    """A self-signed authority (ECDSA P-256), valid for ten years. `now` is aware."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    cert = (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(cert, key)


def issue(ca: PemPair, common_name: str, sans: Iterable[str], usage: Usage, now: datetime, *, lifetime: timedelta = CERT_LIFETIME) -> PemPair:
    """A certificate signed by `ca`. `sans` are addresses and DNS names that it is good for: of a manager its fixed and its floating address."""
    ca_cert, ca_key = x509.load_pem_x509_certificate(ca.cert), _private_key(ca.key)
    key = ec.generate_private_key(ec.SECP256R1())
    eku = ExtendedKeyUsageOID.SERVER_AUTH if usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(common_name), ca_cert.subject, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([eku]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    names = [_general_name(san) for san in dict.fromkeys(sans)]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _pem(builder.sign(ca_key, hashes.SHA256()), key)


def needs_renewal(cert: bytes, now: datetime, *, ca: bytes | None = None, sans: Iterable[str] = ()) -> bool:
    """Whether to issue again: less than a third of the lifetime is left, a name of `sans` is missing, or it was not signed by `ca`. Unreadable PEM counts as due."""
    try:
        parsed = x509.load_pem_x509_certificate(cert)
        if ca is not None:
            parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))
    except Exception:  # any defect of a certificate (malformed, wrong issuer, wrong signature) means: issue a new one
        return True
    start, end = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    if now > end - (end - start) / 3:
        return True
    return not {str(_general_name(san).value) for san in sans} <= set(sans_of(cert))


def end_of(cert: bytes) -> datetime:
    """When a PEM certificate ends."""
    return x509.load_pem_x509_certificate(cert).not_valid_after_utc


def sans_of(cert: bytes) -> tuple[str, ...]:
    """The addresses and DNS names that a PEM certificate is good for."""
    try:
        extension = x509.load_pem_x509_certificate(cert).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in extension.value)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])  # RFC 5280: ub-common-name is 64


def _general_name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        return x509.DNSName(san)


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an elliptic curve key")
    return key


def _pem(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> PemPair:
    return PemPair(cert.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
