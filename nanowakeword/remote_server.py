"""Which server, and how to reach it: address, TLS and credentials, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from nanowakeword.errors import ConfigError, DependencyError, RemoteError
from nanowakeword.loopback import is_loopback

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["Credentials", "RemoteServer", "import_grpc"]

_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
# While a call is open the server is asked so often whether it is still there, and counts as lost if it does not answer
# for so long: a network that drops everything without a word is noticed, also by who only waits for detections.
_PING_EVERY_S: Final = 20.0
_PING_S: Final = 10.0
_HINTS: Final = {
    "NOT_FOUND": "Ask for a model that this server has",
    "INVALID_ARGUMENT": "Correct what the server names",
    "UNAUTHENTICATED": "Give the api_key or the token that this server knows",
    "PERMISSION_DENIED": "Ask whoever runs the server",
    "RESOURCE_EXHAUSTED": "Try again later, or with less: the server says which limit it is",
    "UNIMPLEMENTED": "Is this a NanoWakeword server, and not an older one?",
    "UNAVAILABLE": "The server may be restarting: connect again",
    "DEADLINE_EXCEEDED": "The server may be overloaded, or the network slow",
    "INTERNAL": "This is a fault of the server: look at its log",
}
# What gRPC says where TLS fails -> what it means and what to do.
_TLS_FAILURES: Final = {
    "CERTIFICATE_VERIFY_FAILED": (
        "its certificate is not trusted",
        "Give the authority that issued it as ssl_ca_certs, and look whether it has expired",
    ),
    "is not in peer certificate": (
        "its certificate is for another name",
        "Connect by the name or address that the certificate was issued for",
    ),
    "Hostname Verification Check failed": (
        "its certificate is for another name",
        "Connect by the name or address that the certificate was issued for",
    ),
    "WRONG_VERSION_NUMBER": ("it does not speak TLS", "Connect without ssl_ arguments, or start it with TLS"),
}
# What gRPC says where the server hangs up: it does not say why to those whom it does not trust.
_HANG_UPS: Final = ("Socket closed", "TSI_DATA_CORRUPTED", "Connection reset")


class Credentials(TypedDict, total=False):
    """Keyword arguments of whatever opens a connection; each is described at `RemoteServer`."""

    api_key: str | None
    token: str | None
    ssl_ca_certs: str | Path | None
    ssl_certfile: str | Path | None
    ssl_keyfile: str | Path | None


@dataclass(frozen=True, kw_only=True)
class RemoteServer:
    """A server and what to show it.

    Credentials are sent as metadata, only over TLS or to this machine, and appear in no message.

    Attributes:
        address: ``host:port``.
        api_key: sent as ``x-api-key``.
        token: sent as ``authorization: Bearer``.
        ssl_ca_certs: PEM file of the authorities to trust; given, the connection is TLS.
        ssl_certfile: PEM file of the client's own certificate, for servers that ask for one; with `ssl_keyfile`.
        ssl_keyfile: PEM file of its key, without a password. With the pair and no `ssl_ca_certs`, the connection is
            TLS, too, and the public authorities that gRPC carries are trusted.

    Raises:
        ConfigError: a value is wrong, a file cannot be used, or credentials would cross a network in the clear.
    """

    address: str
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ssl_ca_certs: str | Path | None = None
    ssl_certfile: str | Path | None = None
    ssl_keyfile: str | Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        match = _ADDRESS.fullmatch(self.address)
        if match is None or not 0 < int(match.group(2)) <= 65_535:
            raise ConfigError(
                "bad address of a server", got=repr(self.address), expected="host:port, such as 127.0.0.1:8765"
            )
        for name, secret in (("api_key", self.api_key), ("token", self.token)):
            if secret is not None and not (secret and secret.isascii() and secret.isprintable() and " " not in secret):
                raise ConfigError(
                    f"bad {name}",
                    expected="printable ASCII without spaces",
                    hint="It is not shown here. A line end that was read from a file is a common cause",
                )
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            lacking = "ssl_keyfile" if self.ssl_keyfile is None else "ssl_certfile"
            raise ConfigError(f"{lacking} is missing", expected="ssl_certfile and ssl_keyfile together")
        if self.tls:
            self._check_files()
        elif (self.api_key is not None or self.token is not None) and not is_loopback(match.group(1)):
            raise ConfigError(
                f"an API key or a token for {self.address} would cross the network in the clear",
                expected="TLS, or a server on this machine",
                hint="Give ssl_ca_certs, the file of the authority that issued the server's certificate",
            )

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.ssl_ca_certs is not None or self.ssl_certfile is not None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with each call."""
        pairs = (("x-api-key", self.api_key), ("authorization", self.token and f"Bearer {self.token}"))
        return tuple((name, value) for name, value in pairs if value is not None)

    def open_channel(self) -> Any:
        """A new ``grpc.Channel``, which connects when it is first used.

        Raises:
            ConfigError: a file that was usable has become unusable.
            DependencyError: the extra ``remote`` is not installed.
        """
        grpc, _, _ = import_grpc()
        if not self.tls:
            return grpc.insecure_channel(self.address, options=_channel_options())
        self._check_files()  # again: certificates are renewed while a program runs
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(self.ssl_ca_certs),
            private_key=_read(self.ssl_keyfile),
            certificate_chain=_read(self.ssl_certfile),
        )
        return grpc.secure_channel(self.address, credentials, options=_channel_options())

    def ask_models(self, channel: Any, *, timeout_s: float) -> Any:
        """Ask what the server offers; a future for `read_models`."""
        _, pb, stubs = import_grpc()
        stub = stubs.WakeWordServiceStub(channel)
        return stub.ListModels.future(pb.ListModelsRequest(), timeout=timeout_s, metadata=self.metadata)

    def read_models(self, asked: Any, *, timeout_s: float) -> Sequence[pb.ModelInfo]:
        """What the server offers, its default model first; waits for it, at most as long as was asked for.

        Raises:
            RemoteError: it cannot be reached, does not answer in time, or refuses; or the future was cancelled.
        """
        grpc, _, _ = import_grpc()
        try:
            models: Sequence[pb.ModelInfo] = asked.result().models
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self.late("does not answer", timeout_s=timeout_s) from None
            raise self.explain(error, reached=False) from None
        except grpc.FutureCancelledError:
            raise self.left() from None
        return models

    def explain(self, error: Any, *, reached: bool) -> RemoteError:
        """What a ``grpc.RpcError`` means to whoever runs the client.

        Args:
            error: the error.
            reached: whether the server had answered before.
        """
        code, details = error.code().name, self._without_secrets(error.details() or "")
        if code == "UNAVAILABLE" and not reached:
            for sign, (meaning, hint) in _TLS_FAILURES.items():
                if sign in details:
                    return RemoteError(
                        f"no secure connection to the server at {self.address}: {meaning}", got=details, hint=hint
                    )
            if any(sign in details for sign in _HANG_UPS):
                hint = (
                    "It may ask for a certificate of yours, and trust its issuer: ssl_certfile, ssl_keyfile"
                    if self.tls
                    else "It may expect TLS: give ssl_ca_certs"
                )
                return RemoteError(f"the server at {self.address} hangs up at once", got=details, hint=hint)
            return RemoteError(
                f"cannot reach a server at {self.address}",
                got=details,
                hint="Start one: python -m serving --model M.onnx",
            )
        what = "was lost" if code == "UNAVAILABLE" else "refused"
        return RemoteError(f"the server at {self.address} {what}", got=f"{code}: {details}", hint=_HINTS.get(code))

    def late(self, what: str, *, timeout_s: float) -> RemoteError:
        """The error of a server that takes too long, such as ``what="does not answer"``."""
        return RemoteError(
            f"the server at {self.address} {what}", expected=f"within {timeout_s:g} s", hint=_HINTS["UNAVAILABLE"]
        )

    def left(self) -> RemoteError:
        """The error of a server that ends a stream which should go on."""
        return RemoteError(f"the server at {self.address} ended the stream early", hint=_HINTS["UNAVAILABLE"])

    def _without_secrets(self, text: str) -> str:
        """A server's words, should it repeat what it was sent."""
        for secret in (self.api_key, self.token):
            if secret:
                text = text.replace(secret, "***")
        return text

    def _check_files(self) -> None:
        """Find out now, and by name, what gRPC would report as a failed handshake."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
            path = getattr(self, name)
            try:
                _read(path)
            except OSError as error:
                raise ConfigError(f"cannot read {name} {path}: {error.strerror}") from None
        try:
            if self.ssl_ca_certs is not None:
                context.load_verify_locations(self.ssl_ca_certs)
        except ssl.SSLError as error:
            raise ConfigError(
                f"ssl_ca_certs {self.ssl_ca_certs}", got=error.reason or "no certificate", expected="certificates, PEM"
            ) from None
        try:
            if self.ssl_certfile is not None and self.ssl_keyfile is not None:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password="")  # never ask on a terminal
        except ssl.SSLError as error:
            raise ConfigError(
                f"ssl_certfile {self.ssl_certfile} and ssl_keyfile {self.ssl_keyfile}",
                got=error.reason or "no certificate and key",
                expected="a certificate and its key, PEM, without a password",
            ) from None


def import_grpc() -> tuple[Any, Any, Any]:
    """grpc, the messages and the stubs.

    Raises:
        DependencyError: the extra ``remote`` is not installed.
    """
    try:
        import grpc

        from nanowakeword.v1 import wakeword_pb2, wakeword_pb2_grpc
    except Exception as error:  # the generated code raises classes of its own where grpc or protobuf is too old
        raise DependencyError(
            "gRPC or protobuf is missing or too old", got=error, hint='Install it: pip install "nanowakeword[remote]"'
        ) from error
    return grpc, wakeword_pb2, wakeword_pb2_grpc


def _channel_options() -> list[tuple[str, int]]:
    return [
        # A microphone's server is near; an HTTP proxy named in the environment is for other traffic.
        ("grpc.enable_http_proxy", 0),
        # Connections are not shared between channels: a new one is a new try.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", round(1_000 * _PING_EVERY_S)),
        ("grpc.http2.ping_timeout_ms", round(1_000 * _PING_S)),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _read(path: str | Path | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
