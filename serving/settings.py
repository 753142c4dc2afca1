"""Where settings come from: a flag, else the environment, else a settings file, else the default."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from nanowakeword.errors import ConfigError
from serving.checks import SettingsError
from serving.config import ServerConfig
from serving.key_ring import ApiKey
from serving.options import OPTIONS, PREFIX, Option

__all__ = ["API_KEY_VARIABLE", "parse"]

API_KEY_VARIABLE: Final = f"{PREFIX}API_KEY"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all others of this program."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, hint="python -m serving --help lists the options")


def parse(arguments: Sequence[str], *, environment: Mapping[str, str] = os.environ) -> ServerConfig:
    """Settings from command-line arguments, the environment, and the file that one of them names.

    Raises:
        ConfigError: an argument is unknown, the file cannot be read, or settings are wrong; it names them all.
    """
    flags = vars(_parser().parse_args(arguments))
    problems: list[ConfigError] = []
    path = flags["config"] or environment.get(f"{PREFIX}CONFIG")
    content = _read_file(Path(path), problems) if path else {}
    values: dict[str, Any] = {}
    for option in OPTIONS:
        for source, raw in (
            (option.flag, flags[option.key]),
            (option.variable, _split(environment.get(option.variable), many=option.many)),
            (f"{option.key} in {path}", content.get(option.key)),
        ):
            if raw is not None:
                _take(option, raw, source, values, problems)
                break
    try:
        values["api_keys"] = _api_keys(flags["api_key"], environment)
        config = ServerConfig(**values)
    except SettingsError as error:
        problems.extend(error.problems)
    except ConfigError as error:
        problems.append(error)
    if problems:
        raise SettingsError(problems)
    return config


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m serving",
        description="Listen to streams of audio for wake words, over gRPC.",
        epilog=f"Each option can stand in the environment, too ({PREFIX}MODEL), and, but for --api-key, in a settings "
        "file (model = [...]). A flag counts before the environment, and that before the file.",
        allow_abbrev=False,  # an abbreviated --api-key would be overlooked where it is hidden from others
    )
    parser.add_argument("--config", metavar="FILE.toml", help="settings file")
    parser.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        help=f"key that callers must show; better --api-key-file, or {API_KEY_VARIABLE}",
    )
    for option in OPTIONS:
        if option.is_switch:
            parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=option.help)
        else:
            action = "append" if option.many else "store"
            parser.add_argument(option.flag, action=action, metavar=option.metavar, help=option.help)
    return parser


def _take(option: Option, raw: Any, source: str, values: dict[str, Any], problems: list[ConfigError]) -> None:
    """Read one value, or note what is wrong with it."""
    if option.many and not isinstance(raw, list):
        problems.append(ConfigError(f"bad {source}", got=repr(raw), expected="a list"))
        return
    try:
        values[option.field] = tuple(map(option.read, raw)) if option.many else option.read(raw)
    except ValueError as error:
        problems.append(ConfigError(f"bad {source}", got=repr(raw), expected=error))


def _split(text: str | None, *, many: bool) -> Any:
    return [part.strip() for part in text.split(",") if part.strip()] if many and text is not None else text


def _read_file(path: Path, problems: list[ConfigError]) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {path}", got=error.strerror) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the settings file {path} is no TOML", got=error) from None
    known = {option.key for option in OPTIONS}
    for key in content.keys() - known:
        hint = "Keys do not belong in it: use api_key_file" if key == "api_key" else "--help lists the settings"
        problems.append(ConfigError(f"unknown setting in {path}", got=key, hint=hint))
    return content


def _api_keys(flags: Sequence[str] | None, environment: Mapping[str, str]) -> tuple[ApiKey, ...]:
    """Keys of the command line or else of the environment; they are called key-1, key-2 and so on."""
    secrets = flags or _split(environment.get(API_KEY_VARIABLE), many=True) or ()
    return tuple(ApiKey.of(secret, name=f"key-{number}") for number, secret in enumerate(secrets, start=1))
