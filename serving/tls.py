"""TLS: files checked by name at the start, and taken up again when they are renewed."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Final

from nanowakeword.errors import ConfigError
from serving.private import read_private

__all__ = ["TlsFiles", "server_credentials"]

_LOOK_S: Final = 1.0

_log = logging.getLogger(__name__)


class TlsFiles:
    """A certificate, its key, and the authorities that clients' certificates must come from.

    Args:
        certificate: PEM file of the server's certificate and the chain above it.
        key: PEM file of its key, without a password, not open to others.
        authorities: PEM file; None: clients need no certificate.
    """

    def __init__(self, *, certificate: Path, key: Path, authorities: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities = authorities

    def read(self) -> tuple[bytes, bytes, bytes | None]:
        """Key, certificates, and authorities, PEM, after a look at whether they fit.

        Raises:
            ConfigError: a file cannot be read, is something else, or the key is another one's or open to others.
        """
        key = read_private(self._key, what="the key of TLS")
        try:
            certificate = self._certificate.read_bytes()
            authorities = None if self._authorities is None else self._authorities.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read {error.filename}", got=error.strerror) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._certificate, self._key, password="")  # never ask on a terminal
        except ssl.SSLError as error:
            raise ConfigError(
                f"ssl_certfile {self._certificate} and ssl_keyfile {self._key}",
                got=error.reason or "no certificate and key",
                expected="a certificate and its key, PEM, without a password",
            ) from None
        try:
            if self._authorities is not None:
                context.load_verify_locations(self._authorities)
        except ssl.SSLError as error:
            raise ConfigError(
                f"ssl_ca_certs {self._authorities}", got=error.reason or "no certificate", expected="certificates, PEM"
            ) from None
        return key, certificate, authorities

    @property
    def asks_clients(self) -> bool:
        """Whether clients need a certificate."""
        return self._authorities is not None

    def stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What changes when a file does."""
        return tuple(_stamp(path) for path in (self._certificate, self._key, self._authorities) if path is not None)


def server_credentials(files: TlsFiles) -> Any:
    """What gRPC listens with: TLS with the files as they are at each handshake.

    A renewal that cannot be used is told in the log, and what was read before goes on.

    Raises:
        ConfigError: a file cannot be used.
    """
    import grpc

    def configure() -> Any:
        key, certificate, authorities = files.read()
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authorities)

    renewal = _Renewal(files, configure)
    return grpc.dynamic_ssl_server_credentials(
        configure(), renewal.look, require_client_authentication=files.asks_clients
    )


class _Renewal:
    """Looks whether files have changed, once a second at most; gRPC asks from threads of its own."""

    def __init__(self, files: TlsFiles, configure: Any) -> None:
        self._files = files
        self._configure = configure
        self._lock = threading.Lock()
        self._stamp = files.stamp()
        self._next_look_s = 0.0

    def look(self) -> Any:
        """The new configuration, or None where nothing has changed."""
        with self._lock:
            now_s = time.monotonic()
            if now_s < self._next_look_s:
                return None
            self._next_look_s = now_s + _LOOK_S
            stamp = self._files.stamp()
            if stamp == self._stamp:
                return None
            try:
                renewed = self._configure()
            except ConfigError as error:
                _log.error("TLS goes on with the certificate that it has: %s", error)
                renewed = None
            self._stamp = stamp
            return renewed


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
