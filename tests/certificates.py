"""Certificates for tests of TLS, made on the spot."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["Authority", "Pair"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        own = self._certificate(self._name, self._key.public_key(), days=1, authority=True)
        self.path = _write(folder / f"{name}.pem", own)

    def own_pair(self) -> Pair:
        """Its own certificate, which nobody but itself has signed, and its key."""
        return Pair(certificate=self.path, key=self._write_key(self.path.stem, self._key))

    def issue(self, name: str, *, address: str = "127.0.0.1", days: int = 1) -> Pair:
        """A certificate for an address; with negative ``days`` one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = self._certificate(subject, key.public_key(), days=days, alternative=alternative)
        return Pair(certificate=_write(self._folder / f"{name}.pem", certificate), key=self._write_key(name, key))

    def _write_key(self, name: str, key: Any) -> Path:
        path = self._folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path

    def _certificate(
        self, subject: Any, key: Any, *, days: int, alternative: Any = None, authority: bool = False
    ) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self._key, SHA256())


def _write(path: Path, certificate: Any) -> Path:
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path
