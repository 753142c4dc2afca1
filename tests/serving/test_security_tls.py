"""TLS of a real server: who is refused, whose certificate is whose identity, and renewal while it runs."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from nanowakeword.v1 import wakeword_pb2 as pb
from serving import tls
from serving.key_ring import ApiKey
from tests.certificates import Authority, Pair
from tests.serving.callers import Stream, ask, bearer, key, stub
from tests.serving.running import TIMEOUT_S, RunningServer

Start = Callable[..., RunningServer]
KEY = "kitchen-" + "k" * 32
OK = ("OK", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder, "stranger")


def settings(pair: Pair, clients: Authority | None = None, **more: Any) -> dict[str, Any]:
    return {
        "ssl_certfile": pair.certificate,
        "ssl_keyfile": pair.key,
        "ssl_ca_certs": None if clients is None else clients.path,
        **more,
    }


def client(authority: Authority, pair: Pair | None = None) -> Any:
    """What a client trusts and shows."""
    if pair is None:
        return grpc.ssl_channel_credentials(authority.path.read_bytes())
    return grpc.ssl_channel_credentials(
        authority.path.read_bytes(), private_key=pair.key.read_bytes(), certificate_chain=pair.certificate.read_bytes()
    )


def shake_hands(server: RunningServer, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path)
    context.set_alpn_protocols(["h2"])
    return context


def served_name(server: RunningServer, authority: Authority) -> str:
    """Name in the certificate that the server shows."""
    with shake_hands(server, trusting(authority)) as connection:
        certificate: Any = connection.getpeercert()
    return str(certificate["subject"][0][0][1])


def test_calls_over_tls(start: Start, authority: Authority) -> None:
    server = start(**settings(authority.issue("server"), api_keys=(ApiKey.of(KEY, name="kitchen"),)))
    trust = client(authority)
    assert ask(server.address, key(KEY), credentials=trust) == OK
    assert ask(server.address, (), credentials=trust)[0] == "UNAUTHENTICATED"


def test_plain_clients_and_tls_ports_do_not_meet(start: Start, authority: Authority) -> None:
    secure, plain = start(**settings(authority.issue("server"))), start()
    assert ask(secure.address)[0] == "UNAVAILABLE"
    assert ask(plain.address, credentials=client(authority))[0] == "UNAVAILABLE"
    assert ask(secure.address, credentials=client(authority)) == OK
    assert ask(plain.address) == OK


def test_a_client_certificate_is_an_identity(start: Start, authority: Authority, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    server = start(**settings(authority.issue("server"), authority, enable_tokens=True, audit_log=log))
    mine = client(authority, authority.issue("kitchen"))
    assert ask(server.address, credentials=mine) == OK
    with stub(server.address, credentials=mine) as service:
        token = service.IssueToken(pb.IssueTokenRequest(), timeout=TIMEOUT_S).token
    assert ask(server.address, bearer(token), credentials=mine) == OK
    assert ask(server.address, bearer(f"{token}x"), credentials=mine)[0] == "UNAUTHENTICATED"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(event.get("identity"), event.get("kind")) for event in events] == [
        ("kitchen", "certificate"),
        ("kitchen", "certificate"),
        ("kitchen", None),
        ("kitchen", "token"),
        (None, None),
    ]


def test_bad_client_certificates(start: Start, authority: Authority, stranger: Authority, folder: Path) -> None:
    server = start(**settings(authority.issue("server"), authority))
    lone = Authority(folder, "lone")
    own_key = authority.issue("mixed")
    bad = {
        "none": None,
        "a stranger's": stranger.issue("theirs"),
        "expired": authority.issue("old", days=-1),
        "signed by itself": lone.own_pair(),
        "another one's key": Pair(certificate=own_key.certificate, key=authority.issue("other").key),
    }
    for name, pair in bad.items():
        assert ask(server.address, credentials=client(authority, pair))[0] == "UNAVAILABLE", name
    assert ask(server.address, credentials=client(authority, authority.issue("good"))) == OK


def test_keys_are_asked_for_on_top_of_certificates(start: Start, authority: Authority) -> None:
    server = start(**settings(authority.issue("server"), authority, api_keys=(ApiKey.of(KEY, name="kitchen"),)))
    mine = client(authority, authority.issue("mine"))
    assert ask(server.address, (), credentials=mine)[0] == "UNAUTHENTICATED"
    assert ask(server.address, key(KEY), credentials=mine) == OK
    assert ask(server.address, key(KEY), credentials=client(authority))[0] == "UNAVAILABLE"


def test_old_versions_and_weak_ciphers_are_refused(start: Start, authority: Authority) -> None:
    server = start(**settings(authority.issue("server")))

    def try_with(version: ssl.TLSVersion, ciphers: str = "ALL") -> str | None:
        context = trusting(authority)
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        try:
            with shake_hands(server, context) as connection:
                return connection.version()
        except OSError:
            return None

    assert try_with(ssl.TLSVersion.TLSv1_1) is None
    assert try_with(ssl.TLSVersion.TLSv1_2, "AES128-SHA") is None
    assert try_with(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA") is None
    assert try_with(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert try_with(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def test_a_renewed_certificate_is_taken_up_and_a_bad_one_is_not(
    start: Start,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tls, "_LOOK_S", 0.0)
    current = Pair(certificate=tmp_path / "server.pem", key=tmp_path / "server.key")

    def install(pair: Pair) -> None:
        for new, old in ((pair.certificate, current.certificate), (pair.key, current.key)):
            shutil.copy(new, beside := tmp_path / "beside")
            beside.rename(old)

    install(authority.issue("first"))
    server = start(**settings(current))
    with Stream(server.address, credentials=client(authority)) as stream:
        assert stream.opened()
        assert served_name(server, authority) == "first"
        install(authority.issue("second"))
        assert served_name(server, authority) == "second"
        current.key.write_bytes(b"half a key")
        assert served_name(server, authority) == "second"
        assert "TLS goes on with the certificate that it has" in caplog.text
        current.certificate.unlink()
        assert served_name(server, authority) == "second"
        install(authority.issue("third"))
        assert served_name(server, authority) == "third"
        stream.send_audio(0.08)
        assert server.open_streams == 1, "streams of the time before go on"


def test_certificates_are_looked_at_in_the_handshake_only(
    start: Start, authority: Authority, stranger: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_LOOK_S", 0.0)
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.path, trusted)
    server = start(**{**settings(authority.issue("server")), "ssl_ca_certs": trusted})
    mine = client(authority, authority.issue("mine"))
    with Stream(server.address, credentials=mine) as stream:
        assert stream.opened()
        trusted.write_bytes(stranger.path.read_bytes())
        assert ask(server.address, credentials=mine)[0] == "UNAVAILABLE"
        theirs = client(authority, stranger.issue("theirs"))
        assert ask(server.address, credentials=theirs) == OK
        stream.send_audio(0.08)
        assert server.open_streams == 1
