"""Tokens: what ours say, and what others' do not pass for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest

from serving.errors import ProtocolError
from serving.tokens import Token, Tokens

SECRET = b"s" * 32


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(SECRET, ttl_s=60.0)


@pytest.fixture
def token(tokens: Tokens) -> Token:
    return tokens.issue(identity="kitchen", key_id="0123456789ab")


def part(content: dict[str, Any] | bytes) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def claims(token: Token, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token.text, options={"verify_signature": False})
    return {key: value for key, value in {**found, **changes}.items() if value is not None}


def sign(content: dict[str, Any], *, secret: bytes = SECRET, algorithm: str = "HS256", digest: str = "sha256") -> str:
    """A token as the server itself would sign it."""
    key = hmac.digest(secret, b"nanowakeword token", hashlib.sha256)
    text = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(content)}"
    return f"{text}.{part(hmac.digest(key, text.encode(), digest))}"


def test_a_token_says_who_asked_for_it(tokens: Tokens, token: Token) -> None:
    assert tokens.read(token.text) == token
    assert (token.identity, token.key_id) == ("kitchen", "0123456789ab")
    assert 58 <= token.expires_at_s - time.time() <= 60
    assert token.text not in repr(token)
    assert Tokens(SECRET, ttl_s=1.0).read(token.text) == token, "another worker, or after a restart"


def test_the_helper_signs_as_the_server_does(tokens: Tokens, token: Token) -> None:
    assert tokens.read(sign(claims(token))) is not None


def test_no_two_are_alike(tokens: Tokens, token: Token) -> None:
    again = tokens.issue(identity="kitchen", key_id="0123456789ab")
    assert again.id != token.id
    assert again.text != token.text


@pytest.mark.parametrize(("asked_s", "least_s", "most_s"), [(0.0, 58, 60), (5.0, 3, 5), (1e9, 58, 60), (0.001, 0, 1)])
def test_nobody_gets_a_longer_life_than_the_server_allows(
    tokens: Tokens, asked_s: float, least_s: float, most_s: float
) -> None:
    token = tokens.issue(identity="a", key_id="", ttl_s=asked_s)
    assert least_s <= token.expires_at_s - time.time() <= most_s


@pytest.mark.parametrize("ttl_s", [-1.0, float("nan"), float("inf")])
def test_a_life_that_is_no_number_of_seconds(tokens: Tokens, ttl_s: float) -> None:
    with pytest.raises(ProtocolError, match="bad ttl_s"):
        tokens.issue(identity="a", key_id="", ttl_s=ttl_s)


def test_forged_tokens(tokens: Tokens, token: Token) -> None:
    head, body, signature = token.text.split(".")
    content = claims(token)
    none = part({"alg": "none", "typ": "JWT"})
    forged = {
        "nothing": "",
        "dots": "..",
        "rubbish": "rubbish",
        "no signature": f"{head}.{body}.",
        "alg none": f"{none}.{body}.",
        "alg none, signed": f"{none}.{body}.{signature}",
        "alg None": f"{part({'alg': 'None'})}.{body}.",
        "no alg": f"{part({'typ': 'JWT'})}.{body}.{signature}",
        "another key": sign(content, secret=b"t" * 32),
        "the secret itself": jwt.encode(content, SECRET, algorithm="HS256"),
        "an empty key": f"{head}.{body}.{part(hmac.digest(b'', f'{head}.{body}'.encode(), hashlib.sha256))}",
        "another algorithm": sign(content, algorithm="HS512", digest="sha512"),
        "another issuer": sign(claims(token, iss="someone")),
        "another identity": f"{head}.{part(claims(token, sub='hall'))}.{signature}",
        "a longer life": f"{head}.{part(claims(token, exp=2**40))}.{signature}",
        "expired": sign(claims(token, exp=int(time.time()) - 1)),
        "not yet": sign(claims(token, iat=int(time.time()) + 600)),
        "a giant": sign(claims(token, sub="x" * 2_000)),
        "a key of its own": f"{part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': 'AAAA'}})}.{body}.{signature}",
        "cut": token.text[:-1],
        **{
            f"without {name}": sign(claims(token, **{name: None}))
            for name in ("iss", "sub", "key", "jti", "iat", "exp")
        },
        **{
            f"{name} of another kind": sign(claims(token, **{name: [1]}))
            for name in ("iss", "sub", "key", "jti", "exp")
        },
    }
    passed = [name for name, text in forged.items() if tokens.read(text) is not None]
    assert passed == []


def test_an_expired_one_can_still_be_named(tokens: Tokens, token: Token) -> None:
    old = sign(claims(token, exp=int(time.time()) - 100))
    assert tokens.read(old) is None
    read = tokens.read(old, expired=True)
    assert read is not None
    assert read.id == token.id


def test_an_id_belongs_to_who_asked_for_the_token(tokens: Tokens, token: Token) -> None:
    assert tokens.expiry_of(token.id, identity="kitchen") == token.expires_at_s
    for token_id, identity in (
        (token.id, "hall"),
        (token.id[:-1], "kitchen"),
        (f"f{token.id}", "kitchen"),
        ("", "kitchen"),
        ("..", "kitchen"),
        ("ÿ.ÿ", "kitchen"),
    ):
        assert tokens.expiry_of(token_id, identity=identity) is None
