"""TLS and credentials of the client, against real servers with certificates made here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from nanowakeword.errors import ConfigError, RemoteError
from nanowakeword.remote import RemoteStream, detect_remote
from nanowakeword.remote_scorer import RemoteScorer
from nanowakeword.remote_server import RemoteServer
from nanowakeword.v1 import wakeword_pb2 as pb
from tests.certificates import Authority, Pair
from tests.nanowakeword.remote_peers import OPENED, peer, wait_for
from tests.tiny_model import silence, write_tiny_model

SECRET = "swordfish-4711"  # noqa: S105


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return write_tiny_model(folder / "beep.onnx")


def tls(pair: Pair, *, clients: Path | None = None) -> Any:
    """Credentials of a server; with ``clients`` it asks for certificates of that authority."""
    return grpc.ssl_server_credentials(
        [(pair.key.read_bytes(), pair.certificate.read_bytes())],
        root_certificates=None if clients is None else clients.read_bytes(),
        require_client_auth=clients is not None,
    )


def obliging(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
    next(requests)
    yield OPENED
    start = 0
    for request in requests:
        hops = len(request.audio.pcm_s16le) // 2_560
        yield pb.DetectResponse(scores=[pb.ScoreTrack(model="beep", start_s=start * 0.08, values=[0.0] * hops)])
        start += hops


def test_tls_and_credentials_arrive(authority: Authority, model: Path) -> None:
    seen: list[dict[str, str]] = []
    with peer(obliging, model, credentials=tls(authority.issue("server")), seen=seen) as address:
        options: dict[str, Any] = {"ssl_ca_certs": authority.path, "api_key": SECRET, "token": "t0ken"}
        assert detect_remote(address, silence(0.5), **options) == []
        with RemoteScorer(address, **options) as scorer:
            assert scorer.wait_answered(10.0)
            scorer.feed(silence(0.8))
            assert scorer.wait_judged(10.0)
            assert scorer.error is None
    assert len(seen) == 3
    for metadata in seen:
        assert (metadata["x-api-key"], metadata["authorization"]) == (SECRET, "Bearer t0ken")


def test_mutual_tls(authority: Authority, stranger: Authority, model: Path) -> None:
    server = tls(authority.issue("server"), clients=authority.path)
    mine, theirs = authority.issue("mine"), stranger.issue("theirs")
    with peer(obliging, model, credentials=server) as address:
        good: dict[str, Any] = {
            "ssl_ca_certs": authority.path,
            "ssl_certfile": mine.certificate,
            "ssl_keyfile": mine.key,
        }
        assert detect_remote(address, silence(0.5), **good) == []
        pairs: list[dict[str, Any]] = [{}, {"ssl_certfile": theirs.certificate, "ssl_keyfile": theirs.key}]
        for wrong in pairs:
            with pytest.raises(RemoteError, match=f"{address} hangs up at once.*certificate of yours"):
                RemoteStream(address, ssl_ca_certs=authority.path, **wrong)
        with pytest.raises(RemoteError, match=f"{address} hangs up at once.*may expect TLS: give ssl_ca_certs"):
            RemoteStream(address)


def test_certificates_may_be_renewed_and_lost(
    authority: Authority, stranger: Authority, folder: Path, model: Path
) -> None:
    trusted = folder / "trusted.pem"
    trusted.write_bytes(stranger.path.read_bytes())
    with (
        peer(obliging, model, credentials=tls(authority.issue("server"))) as address,
        RemoteScorer(address, ssl_ca_certs=trusted) as scorer,
    ):
        assert not scorer.wait_answered(10.0)
        trusted.unlink()
        wait_for(lambda: "cannot read ssl_ca_certs" in str(scorer.error))
        trusted.write_bytes(authority.path.read_bytes())
        wait_for(lambda: scorer.error is None)


REFUSED = {
    "stranger": ("its certificate is not trusted", "ssl_ca_certs"),
    "expired": ("its certificate is not trusted", "expired"),
    "other name": ("its certificate is for another name", "issued for"),
    "plain": ("it does not speak TLS", "without ssl_ arguments"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_certificate_that_is_refused_is_told(
    authority: Authority, stranger: Authority, model: Path, name: str
) -> None:
    credentials = {
        "stranger": tls(stranger.issue("other")),
        "expired": tls(authority.issue("old", days=-1)),
        "other name": tls(authority.issue("elsewhere", address="192.0.2.7")),
        "plain": None,
    }[name]
    meaning, hint = REFUSED[name]
    with peer(obliging, model, credentials=credentials) as address:
        with pytest.raises(RemoteError, match=re.escape(f"no secure connection to the server at {address}: {meaning}")):
            RemoteStream(address, ssl_ca_certs=authority.path)
        with RemoteScorer(address, ssl_ca_certs=authority.path) as scorer:
            assert not scorer.wait_answered(10.0)
            assert meaning in str(scorer.error)
            assert hint in str(scorer.error)


def test_a_server_that_repeats_secrets_is_not_repeated(model: Path) -> None:
    def tell(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        for _ in requests:
            raise RuntimeError(f"no such key: {SECRET}")
        yield OPENED

    with peer(tell, model) as address:
        with pytest.raises(RemoteError) as caught:
            RemoteStream(address, api_key=SECRET)
        assert "no such key: ***" in str(caught.value)
        with RemoteScorer(address, token=SECRET) as scorer:
            assert scorer.wait_answered(10.0)
            scorer.feed(silence(0.8))
            wait_for(lambda: scorer.error)
            assert "***" in str(scorer.error)
            assert SECRET not in f"{scorer!r} {vars(scorer)} {vars(scorer._link)} {scorer.error}"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"])
def test_credentials_stay_on_this_machine_without_tls(address: str) -> None:
    assert RemoteServer(address=address, api_key=SECRET).metadata == (("x-api-key", SECRET),)


@pytest.mark.parametrize("secret", ["api_key", "token"])
@pytest.mark.parametrize(
    "address", ["192.168.1.10:8765", "server.local:8765", "[fe80::1]:8765", "localhost.evil.example:1"]
)
def test_credentials_never_cross_a_network_in_the_clear(address: str, secret: str) -> None:
    with pytest.raises(
        ConfigError, match=r"would cross the network in the clear; expected TLS.*ssl_ca_certs"
    ) as caught:
        RemoteServer(address=address, **{secret: SECRET})
    assert SECRET not in str(caught.value)


def test_incomplete_or_unusable_files_are_told_before_any_connection(
    authority: Authority, folder: Path, model: Path
) -> None:
    mine, other = authority.issue("mine"), authority.issue("other")
    missing = folder / "missing.pem"
    bad: list[tuple[dict[str, Any], str]] = [
        ({"ssl_certfile": mine.certificate}, "ssl_keyfile is missing"),
        ({"ssl_keyfile": mine.key, "ssl_ca_certs": authority.path}, "ssl_certfile is missing"),
        ({"ssl_ca_certs": missing}, f"cannot read ssl_ca_certs {missing}: No such file"),
        ({"ssl_ca_certs": folder}, f"cannot read ssl_ca_certs {folder}: Is a directory"),
        ({"ssl_ca_certs": model}, f"ssl_ca_certs {model}.*expected certificates, PEM"),
        ({"ssl_ca_certs": mine.key}, "expected certificates, PEM"),
        ({"ssl_certfile": mine.certificate, "ssl_keyfile": missing}, "cannot read ssl_keyfile"),
        ({"ssl_certfile": mine.certificate, "ssl_keyfile": other.key}, "KEY_VALUES_MISMATCH.*its key"),
        ({"ssl_certfile": mine.certificate, "ssl_keyfile": model}, "its key, PEM, without a password"),
    ]
    for options, text in bad:
        for make in (RemoteScorer, RemoteStream):
            with pytest.raises(ConfigError, match=text):
                make("127.0.0.1:1", **options)


@pytest.mark.parametrize("secret", ["", "two words", "line\n", "ключ", "tab\t"])
def test_credentials_that_cannot_be_sent(secret: str) -> None:
    for name in ("api_key", "token"):
        with pytest.raises(ConfigError, match=f"bad {name}") as caught:
            RemoteServer(address="127.0.0.1:1", **{name: secret})
        assert not secret or secret not in str(caught.value)
