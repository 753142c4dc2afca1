"""Options of commands that can use a server."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Final

from nanowakeword.errors import ConfigError

__all__ = ["add_remote_arguments", "remote_arguments"]

_API_KEY: Final = "NANOWAKEWORD_API_KEY"
_TOKEN: Final = "NANOWAKEWORD_TOKEN"  # noqa: S105  # the name of a variable
_MAX_SECRET_BYTES: Final = 16_384


def add_remote_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a server and how to reach it."""
    group = parser.add_argument_group("a server runs the models")
    add = group.add_argument
    add("--remote", metavar="HOST:PORT", help="its address; M.onnx, if given, is the gate that wakes it")
    add("--remote-model", metavar="NAME", action="append", default=[], help="model of the server (its default one)")
    add(
        "--pipeline",
        choices=["full", "verifier_only"],
        default="full",
        help="what it gets: audio, or features that M.onnx computes (full)",
    )
    add("--api-key-file", metavar="FILE", type=Path, help=f"file with the key for it; or set {_API_KEY}")
    add("--token-file", metavar="FILE", type=Path, help=f"file with the token for it; or set {_TOKEN}")
    add("--ssl-ca-certs", metavar="PEM", type=Path, help="use TLS; certificates that the server's is checked against")
    add("--ssl-certfile", metavar="PEM", type=Path, help="certificate of this client")
    add("--ssl-keyfile", metavar="PEM", type=Path, help="its private key")


def remote_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """What these options mean to `NanoInterpreter.load_model`.

    Raises:
        ConfigError: there are options for a server and no server, or a file cannot be read.
    """
    if options.remote is None:
        given = ("remote_model", "api_key_file", "token_file", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
        if any(getattr(options, name) for name in given) or options.pipeline != "full":
            raise ConfigError("options for a server, and no server", expected="--remote HOST:PORT, too")
        return {}
    return {
        "remote_verifier": options.remote,
        "remote_models": options.remote_model,
        "remote_pipeline": options.pipeline,
        "remote_api_key": _secret(options.api_key_file, _API_KEY),
        "remote_token": _secret(options.token_file, _TOKEN),
        "remote_ssl_ca_certs": options.ssl_ca_certs,
        "remote_ssl_certfile": options.ssl_certfile,
        "remote_ssl_keyfile": options.ssl_keyfile,
    }


def _secret(file: Path | None, variable: str) -> str | None:
    """A secret from a file, or else from the environment; a command line can be seen by everybody."""
    if file is None:
        return os.environ.get(variable) or None
    try:
        with file.open("rb") as stream:
            secret = stream.read(_MAX_SECRET_BYTES).decode("ascii").strip()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        secret = ""
    if not secret or any(character.isspace() for character in secret):
        raise ConfigError(f"{file} holds no secret", expected="one line of ASCII text")
    return secret
