"""Who is let in, how often and for how long, asked of a real server."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from nanowakeword.v1 import wakeword_pb2 as pb
from serving import key_ring
from serving.key_ring import ApiKey
from serving.keys import main as keys
from tests.serving.callers import Stream, ask, ask_over, bearer, key, stub
from tests.serving.running import TIMEOUT_S, RunningServer, wait_for
from tests.serving.test_security_tokens import part

KITCHEN, HALL = "kitchen-" + "k" * 32, "hall-" + "h" * 32
API_KEYS = (ApiKey.of(KITCHEN, name="kitchen"), ApiKey.of(HALL, name="hall"))
WRONG = ("UNAUTHENTICATED", "credentials are missing, wrong or expired")
KEPT_OUT = ("PERMISSION_DENIED", "this address may not call")
OK = ("OK", "")

Start = Callable[..., RunningServer]


def forwarded(address: str, metadata: Any = ()) -> Any:
    return (*metadata, ("x-forwarded-for", address))


def issue(server: RunningServer, secret: str, *, ttl_s: float = 0.0) -> Any:
    with stub(server.address) as service:
        return service.IssueToken(pb.IssueTokenRequest(ttl_s=ttl_s), metadata=key(secret), timeout=TIMEOUT_S)


def revoke(server: RunningServer, metadata: Any, **which: str) -> str:
    with stub(server.address) as service:
        try:
            service.RevokeToken(pb.RevokeTokenRequest(**which), metadata=metadata, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def refusals(registry: CollectorRegistry, reason: str) -> float:
    return registry.get_sample_value("nanowakeword_refusals_total", {"reason": reason}) or 0.0


def test_all_wrong_credentials_look_alike(start: Start) -> None:
    server = start(api_keys=API_KEYS, enable_tokens=True, ban_duration=0)
    token = issue(server, KITCHEN).token
    head, body, signature = token.split(".")
    wrong: list[Any] = [
        (),
        key(""),
        key("wrong"),
        key(KITCHEN[:-1]),
        key(KITCHEN + "x"),
        key(KITCHEN.upper()),
        key("kitchen"),
        key(API_KEYS[0].digest.hex()),
        key("x" * 7_000),
        (*key(KITCHEN), *key("wrong")),
        (*key("wrong"), *key(KITCHEN)),
        (("x-api-key-bin", KITCHEN.encode()),),
        (("api-key", KITCHEN),),
        (("authorization", KITCHEN),),
        (("authorization", f"Basic {KITCHEN}"),),
        bearer(KITCHEN),
        bearer(""),
        bearer(f"{part({'alg': 'none'})}.{body}."),
        bearer(f"{head}.{body}.{signature[::-1]}"),
        (*bearer("wrong"), *key(KITCHEN)),
        (*bearer(token), *bearer(token)),
    ]
    with stub(server.address) as service:
        assert {ask_over(service, metadata) for metadata in wrong} == {WRONG}
        for right in (key(KITCHEN), key(HALL), bearer(token), (("authorization", f"bEARER  {token}"),)):
            assert ask_over(service, right) == OK
    assert refusals(server.metrics.registry, "credentials") == len(wrong)


def test_every_method_asks_for_credentials(start: Start) -> None:
    server = start(api_keys=API_KEYS, ban_duration=0, trusted_proxies=("127.0.0.1",))
    away = forwarded("192.0.2.1")
    codes: dict[str, str] = {}
    with grpc.insecure_channel(server.address) as channel:
        for path in [
            *(f"/{pb.DESCRIPTOR.package}.WakeWordService/{method.name}" for method in service_methods()),
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ]:
            # No message ever comes: credentials are looked at before anything is read.
            messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            call = channel.stream_stream(path)(iter(messages.get, b""), metadata=away, timeout=TIMEOUT_S)
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            messages.put(b"")
            codes[path] = caught.value.code().name
    assert set(codes.values()) == {"UNAUTHENTICATED"}, codes


def service_methods() -> Any:
    return pb.DESCRIPTOR.services_by_name["WakeWordService"].methods


def test_health_and_reflection(start: Start) -> None:
    server = start(api_keys=API_KEYS, ban_duration=0, trusted_proxies=("127.0.0.1",))
    away = forwarded("192.0.2.1")

    def check(metadata: Any) -> str:
        with grpc.insecure_channel(server.address) as channel:
            try:
                request = health_pb2.HealthCheckRequest()
                answer = health_pb2_grpc.HealthStub(channel).Check(request, metadata=metadata, timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                return str(error.code().name)
            return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    assert check(()) == "SERVING", "this machine may look without credentials"
    assert check(away) == "UNAUTHENTICATED"
    assert check((*away, *key(KITCHEN))) == "SERVING"
    with grpc.insecure_channel(server.address) as channel:
        ask_for = reflection_pb2.ServerReflectionRequest(list_services="")
        stub_ = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = stub_.ServerReflectionInfo(iter([ask_for]), metadata=key(KITCHEN), timeout=TIMEOUT_S)
        assert len(next(answers).list_services_response.service) == 3
    server = start(api_keys=API_KEYS, open_health=True, trusted_proxies=("127.0.0.1",), ip_allowlist=("192.0.2.0/24",))
    assert check(away) == "SERVING"
    assert check(forwarded("198.51.100.1")) == "PERMISSION_DENIED", "who may not call may not look"


def test_an_open_server_knows_nobody_and_ignores_what_is_shown(start: Start) -> None:
    server = start()
    for metadata in ((), key("anything"), bearer("anything")):
        assert ask(server.address, metadata) == OK


def test_wrong_credentials_ban_their_address(start: Start) -> None:
    server = start(api_keys=API_KEYS, ban_duration=60.0, trusted_proxies=("127.0.0.1",))
    with stub(server.address) as service:
        told = [ask_over(service, forwarded("192.0.2.1", key("wrong"))) for _ in range(12)]
        assert told == [WRONG] * 10 + [KEPT_OUT] * 2
        assert ask_over(service, forwarded("192.0.2.1", key(KITCHEN))) == KEPT_OUT, "even with the right key"
        assert ask_over(service, forwarded("192.0.2.2", key(KITCHEN))) == OK
        assert ask_over(service, forwarded("192.0.2.1, 192.0.2.2", key(KITCHEN))) == OK
        for _ in range(10):
            ask_over(service, forwarded("2001:db8::1", key("wrong")))
        assert ask_over(service, forwarded("2001:db8::ffff", key(KITCHEN))) == KEPT_OUT, "one customer's network"
        assert ask_over(service, forwarded("2001:db8:0:1::1", key(KITCHEN))) == OK
    assert refusals(server.metrics.registry, "ban") == 4


def test_a_ban_ends(start: Start) -> None:
    server = start(api_keys=API_KEYS, ban_duration=1.0)
    with stub(server.address) as service:
        while ask_over(service, key("wrong")) != KEPT_OUT:
            pass
        wait_for(lambda: ask_over(service, key(KITCHEN)) == OK)


def test_an_allowlist_counts_before_credentials_and_believes_no_header(start: Start) -> None:
    server = start(api_keys=API_KEYS, ip_allowlist=("192.0.2.0/24",))
    for metadata in ((), key(KITCHEN), forwarded("192.0.2.1", key(KITCHEN))):
        assert ask(server.address, metadata) == KEPT_OUT
    assert refusals(server.metrics.registry, "address") == 3
    server = start(api_keys=API_KEYS, ip_allowlist=("192.0.2.0/24",), trusted_proxies=("127.0.0.0/8",))
    assert ask(server.address, forwarded("192.0.2.1", key(KITCHEN))) == OK
    assert ask(server.address, forwarded("192.0.2.1")) == WRONG
    for spoofed in ("198.51.100.1", "192.0.2.1, 198.51.100.1", "192.0.2.1, rubbish", "192.0.2.1,"):
        assert ask(server.address, forwarded(spoofed, key(KITCHEN)))[0] == "PERMISSION_DENIED", spoofed
    assert ask(server.address, key(KITCHEN)) == KEPT_OUT, "the proxy itself is not in the list"


def test_calls_are_limited_by_identity_and_by_address(start: Start) -> None:
    server = start(api_keys=API_KEYS, enable_tokens=True, rate_limit=4, rate_window=600, trusted_proxies=("127.0.0.1",))
    with stub(server.address) as service:
        token = issue(server, KITCHEN).token  # costs the first one

        def call(address: str, metadata: Any) -> str:
            return ask_over(service, forwarded(address, metadata))[0]

        assert [call(f"192.0.2.{number}", bearer(token)) for number in range(4)] == ["OK"] * 3 + ["RESOURCE_EXHAUSTED"]
        assert call("192.0.2.9", key(KITCHEN)) == "RESOURCE_EXHAUSTED", "a token spends for its key"
        assert [call("192.0.2.50", key(HALL)) for _ in range(5)] == ["OK"] * 4 + ["RESOURCE_EXHAUSTED"]
    assert refusals(server.metrics.registry, "rate") == 3


def test_who_goes_on_above_the_rate_is_banned(start: Start) -> None:
    server = start(rate_limit=3, rate_window=600, ban_duration=60)
    with stub(server.address) as service:
        told = [ask_over(service)[0] for _ in range(15)]
    assert told == ["OK"] * 3 + ["RESOURCE_EXHAUSTED"] * 10 + ["PERMISSION_DENIED"] * 2


def test_audio_is_limited(start: Start) -> None:
    server = start(api_keys=API_KEYS, rate_limit_audio_s=3.0, rate_window=600)
    with Stream(server.address, key(KITCHEN)) as stream:
        assert stream.opened()
        for _ in range(5):
            stream.send_audio(1.0)
        code, text = stream.end()
        assert (code, text) == ("RESOURCE_EXHAUSTED", "too much audio; expected at most 3 s in 600 s")
    assert refusals(server.metrics.registry, "audio_rate") == 1


def test_streams_are_limited_in_all_and_by_identity(start: Start) -> None:
    server = start(api_keys=API_KEYS, max_connections=3, max_connections_per_identity=2)
    with Stream(server.address, key(KITCHEN)) as first, Stream(server.address, key(KITCHEN)) as second:
        assert first.opened()
        assert second.opened()
        with Stream(server.address, key(KITCHEN)) as third:
            assert third.end() == ("RESOURCE_EXHAUSTED", "too many streams open; expected at most 2")
        with Stream(server.address, key(HALL)) as hall:
            assert hall.opened()
            with Stream(server.address, key(HALL)) as fourth:
                assert fourth.end()[0] == "RESOURCE_EXHAUSTED"
        assert server.guard.open_streams <= 3
    wait_for(lambda: server.guard.open_streams == 0)
    with Stream(server.address, key(KITCHEN)) as again:
        assert again.opened()


def test_tokens_are_for_keys_only_and_for_as_long_as_they_say(start: Start) -> None:
    server = start(api_keys=API_KEYS, enable_tokens=True, token_ttl=100.0, ban_duration=0)
    answer = issue(server, KITCHEN, ttl_s=1e6)
    assert 95 < answer.expires_at_s - time.time() <= 100
    with stub(server.address) as service, pytest.raises(grpc.RpcError) as caught:
        service.IssueToken(pb.IssueTokenRequest(), metadata=bearer(answer.token), timeout=TIMEOUT_S)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    short = issue(server, KITCHEN, ttl_s=1.0)
    wait_for(lambda: ask(server.address, bearer(short.token)) == WRONG)
    assert time.time() >= short.expires_at_s
    other = start(api_keys=API_KEYS, enable_tokens=True, ban_duration=0)
    assert ask(other.address, bearer(answer.token)) == WRONG, "another server's token"
    without = start(api_keys=API_KEYS, ban_duration=0)
    assert ask(without.address, bearer(answer.token)) == WRONG


def test_a_kept_key_of_tokens_outlives_the_server(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.touch(mode=0o600)
    path.write_bytes(b"k" * 32)
    settings = {"api_keys": API_KEYS, "enable_tokens": True, "token_key_file": path}
    token = issue(start(**settings), KITCHEN).token
    assert ask(start(**settings).address, bearer(token)) == OK


def test_a_restart_forgets_what_was_revoked(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.touch(mode=0o600)
    path.write_bytes(b"k" * 32)
    settings = {"api_keys": API_KEYS, "enable_tokens": True, "token_key_file": path}
    first = start(**settings)
    token = issue(first, KITCHEN).token
    assert revoke(first, key(KITCHEN), token=token) == "OK"
    assert ask(first.address, bearer(token)) == WRONG
    assert ask(start(**settings).address, bearer(token)) == OK


def test_a_token_works_wherever_it_is_shown(start: Start) -> None:
    server = start(api_keys=API_KEYS, enable_tokens=True, trusted_proxies=("127.0.0.1",))
    token = issue(server, KITCHEN).token
    for address in ("192.0.2.1", "2001:db8::1"):
        assert ask(server.address, forwarded(address, bearer(token))) == OK


def test_revoked_tokens(start: Start) -> None:
    server = start(api_keys=API_KEYS, enable_tokens=True, ban_duration=0)
    first, second, third, fourth = (issue(server, KITCHEN) for _ in range(4))
    assert revoke(server, key(HALL), token_id=first.token_id) == "INVALID_ARGUMENT", "somebody else's, by its id"
    for which in ("token", "token_id"):
        assert revoke(server, bearer(second.token), **{which: "rubbish"}) == "INVALID_ARGUMENT"
    assert revoke(server, (), token=first.token) == "UNAUTHENTICATED"
    for token in (first, second, third, fourth):
        assert ask(server.address, bearer(token.token)) == OK
    assert revoke(server, key(KITCHEN), token_id=first.token_id) == "OK", "by whoever asked for it"
    assert revoke(server, bearer(second.token), token_id=second.token_id) == "OK", "by itself"
    assert revoke(server, key(HALL), token=third.token) == "OK", "by whoever holds it"
    assert revoke(server, key(KITCHEN), token_id=first.token_id) == "OK", "again is no error"
    for token in (first, second, third):
        assert ask(server.address, bearer(token.token)) == WRONG, "replayed"
    assert ask(server.address, bearer(fourth.token)) == OK


def test_a_stream_ends_with_its_token(start: Start) -> None:
    server = start(api_keys=API_KEYS, enable_tokens=True)
    short, long = issue(server, KITCHEN, ttl_s=2.0), issue(server, KITCHEN)
    with (
        Stream(server.address, bearer(short.token)) as silent,
        Stream(server.address, bearer(long.token)) as revoked,
        Stream(server.address, key(KITCHEN)) as other,
    ):
        assert revoked.opened()
        assert other.opened()
        revoke(server, key(KITCHEN), token_id=long.token_id)
        assert revoked.end() == WRONG
        assert silent.end() == WRONG, "though it sends nothing that could be refused"
        assert time.time() >= short.expires_at_s
        assert server.open_streams == 1
        other.send_audio(0.08)
    wait_for(lambda: server.guard.open_streams == 0)
    assert refusals(server.metrics.registry, "ended") == 2


def test_streams_end_with_the_key(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(key_ring, "_LOOK_S", 0.0)
    path = tmp_path / "keys.txt"
    secrets = []
    for name in ("kitchen", "hall"):
        keys(["new", name, "--file", str(path)])
        secrets.append(capsys.readouterr().out.strip())
    server = start(api_key_file=path, enable_tokens=True)
    token = issue(server, secrets[0]).token
    with (
        Stream(server.address, key(secrets[0])) as kitchen,
        Stream(server.address, bearer(token)) as guest,
        Stream(server.address, key(secrets[1])) as hall,
    ):
        for stream in (kitchen, guest, hall):
            assert stream.opened()
        keys(["revoke", "kitchen", "--file", str(path)])
        assert kitchen.end() == WRONG
        assert guest.end() == WRONG, "a token ends with the key that it was asked for with"
        assert server.open_streams == 1
        path.unlink()
        assert hall.end() == WRONG, "a key file that is gone lets nobody in"


def test_the_audit_log_tells_who_and_no_secret(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    server = start(api_keys=API_KEYS, enable_tokens=True, audit_log=path, ban_duration=60)
    token = issue(server, KITCHEN)
    assert ask(server.address, bearer(token.token)) == OK
    revoke(server, key(KITCHEN), token=token.token)
    with stub(server.address) as service:
        for _ in range(40):
            ask_over(service, key("wrong-wrong-wrong-wrong"))
    content = path.read_text()
    events = [json.loads(line) for line in content.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:5] == ["admitted", "token issued", "admitted", "admitted", "token revoked"]
    assert kinds.count("banned") == 1
    assert kinds.count("refused") <= 40
    assert events[0]["identity"] == events[2]["identity"] == "kitchen"
    assert (events[0]["kind"], events[2]["kind"], events[2]["token_id"]) == ("key", "token", token.token_id)
    assert {event["address"] for event in events} == {"127.0.0.1"}
    assert path.stat().st_mode & 0o777 == 0o600
    for secret in (KITCHEN, HALL, token.token, token.token.split(".")[2], "wrong-wrong", API_KEYS[0].digest.hex()):
        assert secret not in content
