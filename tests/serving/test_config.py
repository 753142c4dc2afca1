"""Settings: where they come from, and what is refused, all at once, before anything is loaded."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nanowakeword.errors import ConfigError
from serving.config import ServerConfig
from serving.key_ring import ApiKey
from serving.keys import main as keys
from serving.options import OPTIONS
from serving.settings import parse
from tests.certificates import Authority, Pair

MODEL = ["--model", "m.onnx"]
SECRET = "correct-horse-battery-staple"  # noqa: S105


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority").issue("server")


def settings(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "server.toml"
    path.write_text(text)
    return ["--config", str(path)]


def read(*arguments: str, **environment: str) -> ServerConfig:
    return parse([*arguments], environment=environment)


def test_every_setting_can_be_given() -> None:
    given = {option.field for option in OPTIONS}
    assert given | {"api_keys"} == {field.name for field in fields(ServerConfig)}
    assert len(given) == len(OPTIONS)


def test_a_flag_counts_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = settings(
        tmp_path, 'model = ["a.onnx", "b.onnx"]\nport = 1\nthreads = 2\nrate_window = 30\ninsecure = true\n'
    )
    config = read(*file, "--port", "3", NANOWAKEWORD_PORT="4", NANOWAKEWORD_THREADS="5")
    assert (config.port, config.threads, config.rate_window, config.workers) == (3, 5, 30.0, 1)
    assert config.models == (Path("a.onnx"), Path("b.onnx"))
    assert config.insecure
    assert not read(*file, "--no-insecure").insecure
    assert read(NANOWAKEWORD_CONFIG=file[1]).port == 1
    assert read(NANOWAKEWORD_MODEL="x.onnx, y.onnx").models == (Path("x.onnx"), Path("y.onnx"))


def test_flags_of_other_servers_of_this_name_keep_their_meaning(pair: Pair) -> None:
    config = read(
        *MODEL, "--pipeline", "full", "--port", "8000", "--host", "127.0.0.1", "--api-key", SECRET,
        "--api-key", SECRET[::-1],
        "--enable-tokens", "--token-ttl", "600", "--rate-limit", "0", "--rate-window", "30", "--ban-duration", "0",
        "--ip-allowlist", "192.168.0.0/16", "--ip-allowlist", "10.0.0.5", "--ssl-certfile", str(pair.certificate),
        "--ssl-keyfile", str(pair.key), "--ssl-ca-certs", str(pair.certificate), "--max-connections", "0",
    )  # fmt: skip
    assert [key.name for key in config.api_keys] == ["key-1", "key-2"]
    assert config.api_keys[0] == ApiKey.of(SECRET, name="key-1")
    assert (config.rate_limit, config.max_connections) == (None, None), "0 is no limit"
    assert (config.enable_tokens, config.token_ttl, config.ban_duration) == (True, 600.0, 0.0)
    assert config.ip_allowlist == ("192.168.0.0/16", "10.0.0.5")


def test_keys_of_the_environment() -> None:
    config = read(*MODEL, NANOWAKEWORD_API_KEY=f"{SECRET},{SECRET[::-1]}")
    assert [key.name for key in config.api_keys] == ["key-1", "key-2"]
    assert SECRET not in repr(config)
    assert read(*MODEL, "--api-key", SECRET, NANOWAKEWORD_API_KEY=f"a{SECRET}").api_keys == (
        ApiKey.of(SECRET, name="key-1"),
    )


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = settings(tmp_path, 'port = "http"\ncolour = "red"\nmodel = "m.onnx"\n')
    with pytest.raises(ConfigError) as caught:
        read(
            *file,
            "--threads",
            "0",
            "--enable-tokens",
            NANOWAKEWORD_MAX_BATCH="many",
            NANOWAKEWORD_OPEN_HEALTH="perhaps",
        )
    told = str(caught.value).splitlines()
    for text in (
        "bad port in",
        "unknown setting in",
        "bad model in",
        "bad threads; got 0",
        "tokens without",
        "bad NANOWAKEWORD_MAX_BATCH; got 'many'; expected a whole number",
        "bad NANOWAKEWORD_OPEN_HEALTH; got 'perhaps'; expected true or false",
    ):
        assert any(text in line for line in told), text
    assert told[0].endswith("settings are wrong:")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port = ", "is no TOML"),
        (f'api_key = "{SECRET}"', "Keys do not belong in it: use api_key_file"),
        ("port = true", "expected a whole number"),
        ("threads = 1.5", "expected a whole number"),
        ("drain_s = []", "expected a number"),
        ("host = 5", "expected text"),
        ('audit_log = ""', "expected a path"),
        ('enable_tokens = "on"', "expected true or false"),
    ],
)
def test_bad_settings_files(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)) as caught:
        read(*settings(tmp_path, text), *MODEL)
    assert SECRET not in str(caught.value)


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the settings file"):
        read("--config", str(tmp_path / "none.toml"), *MODEL)


OPEN: dict[str, tuple[dict[str, Any], str]] = {
    "every address": ({"host": "0.0.0.0"}, "without TLS .* and without credentials"),  # noqa: S104
    "every IPv6 address": ({"host": "::"}, "without TLS .* and without credentials"),
    "a name": ({"host": "example.org"}, "without TLS .* and without credentials"),
    "no host": ({"host": "", "insecure": True}, "refusing to listen"),
    "keys in the clear": (
        {"host": "192.0.2.1", "api_keys": (ApiKey.of(SECRET, name="a"),)},
        "host '192.0.2.1' without TLS",
    ),
    "tokens without keys": ({"enable_tokens": True}, "tokens without anything to ask for them with"),
    "a certificate without its key": ({"ssl_certfile": Path("c")}, "ssl_keyfile is missing"),
    "a key without its certificate": ({"ssl_keyfile": Path("k")}, "ssl_certfile is missing"),
    "authorities without TLS": ({"ssl_ca_certs": Path("a")}, "ssl_ca_certs without TLS"),
    "a key file that is not there": ({"api_key_file": Path("/nowhere/keys")}, "cannot read API keys.*No such file"),
    "a token key that is not there": ({"token_key_file": Path("/nowhere/key")}, "cannot read the key of tokens"),
    "a token key in vain": ({"token_key_file": Path("/nowhere/key")}, "token_key_file without tokens"),
    "metrics for all": ({"metrics": "0.0.0.0:9464"}, "refusing to serve metrics"),
    "Wyoming for all": ({"wyoming": "tcp://0.0.0.0:10400"}, "refusing to serve wyoming"),
    "zeroconf alone": ({"zeroconf": "kitchen"}, "zeroconf without anything to announce"),
    "a network with bits beyond its mask": ({"ip_allowlist": ("10.0.0.1/8",)}, "bad network in ip_allowlist"),
    "a proxy by name": ({"trusted_proxies": ("proxy",)}, "bad network in trusted_proxies"),
    "two keys of one name": (
        {"api_keys": (ApiKey.of(SECRET, name="a"), ApiKey.of(SECRET[::-1], name="a"))},
        "two API keys with one name; got a",
    ),
    "a level": ({"log_level": "LOUD"}, "bad log_level"),
    "workers": ({"workers": 65}, "bad workers; got 65; expected 1 to 64"),
    "no number": ({"rate_window": float("nan")}, "bad rate_window"),
    "no end": ({"ban_duration": float("inf")}, "bad ban_duration"),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_would_be_open_or_wrong_is_refused(name: str) -> None:
    values, text = OPEN[name]
    with pytest.raises(ConfigError, match=text):
        ServerConfig(models=(Path("m"),), **values)


def test_what_is_meant_is_allowed(pair: Pair) -> None:
    tls = {"ssl_certfile": pair.certificate, "ssl_keyfile": pair.key}
    key = ApiKey.of(SECRET, name="a")
    for values in (
        {"host": "0.0.0.0", "insecure": True, "metrics": "0.0.0.0:9464", "wyoming": "tcp://0.0.0.0:10400"},  # noqa: S104
        {"host": "192.0.2.1", "api_keys": (key,), **tls},
        {"host": "192.0.2.1", "ssl_ca_certs": pair.certificate, "enable_tokens": True, **tls},
        {"host": "localhost"},
        {"host": "127.8.8.8"},
        {"host": "::1"},
    ):
        ServerConfig(models=(Path("m"),), **values)


def test_files_of_tls_are_looked_at(pair: Pair, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other").issue("other")
    loose = tmp_path / "loose.key"
    loose.write_bytes(pair.key.read_bytes())
    loose.chmod(0o644)
    bad: list[tuple[dict[str, Path], str]] = [
        ({"ssl_certfile": pair.certificate, "ssl_keyfile": other.key}, "KEY_VALUES_MISMATCH"),
        ({"ssl_certfile": tmp_path / "none", "ssl_keyfile": pair.key}, "cannot read .*none.*No such file"),
        ({"ssl_certfile": pair.certificate, "ssl_keyfile": loose}, "the file is open to others; got mode 644"),
        ({"ssl_certfile": pair.key, "ssl_keyfile": pair.key}, "expected a certificate and its key"),
        (
            {"ssl_certfile": pair.certificate, "ssl_keyfile": pair.key, "ssl_ca_certs": pair.key},
            "expected certificates, PEM",
        ),
    ]
    for values, text in bad:
        with pytest.raises(ConfigError, match=text):
            ServerConfig(models=(Path("m"),), **values)  # type: ignore[arg-type]


def test_a_short_token_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.touch(mode=0o600)
    values: dict[str, Any] = {
        "models": (Path("m"),),
        "enable_tokens": True,
        "token_key_file": path,
        "api_keys": (ApiKey.of(SECRET, name="a"),),
    }
    path.write_bytes(os.urandom(31))
    with pytest.raises(ConfigError, match="too short; got 31 bytes"):
        ServerConfig(**values)
    path.write_bytes(os.urandom(32))
    ServerConfig(**values)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602, 0o601])
def test_a_key_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.txt"
    assert keys(["new", "kitchen", "--file", str(path)]) == 0
    ServerConfig(models=(Path("m"),), api_key_file=path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"the file is open to others; got mode {mode:03o}"):
        ServerConfig(models=(Path("m"),), api_key_file=path)
