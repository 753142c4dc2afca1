"""The server's command line: ``python -m serving --model M.onnx``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from nanowakeword.errors import ConfigError, DependencyError, NanoWakewordError
from serving.config import DEFAULT_HOST, DEFAULT_PORT, ServerConfig


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all others of this program."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, hint="python -m serving --help lists the options")


def parse(arguments: Sequence[str] | None = None) -> ServerConfig:
    """Settings from command-line arguments.

    Raises:
        ConfigError: an argument is unknown or wrong.
    """
    parser = _Parser(prog="python -m serving", description="Listen to streams of audio for wake words, over gRPC.")
    parser.add_argument(
        "--model",
        action="append",
        type=Path,
        metavar="M.onnx",
        help="model to serve, or its head file; repeat for more, first is default",
    )
    parser.add_argument(
        "--pipeline",
        choices=("full", "verifier_only"),
        help="take audio only, or features only (both, for models with NAME_head.onnx beside NAME.onnx)",
    )
    parser.add_argument("--host", default=DEFAULT_HOST, help="loopback address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port; 0 takes a free one (%(default)s)")
    parser.add_argument("--threshold", type=float, help="score at which models fire (each model's own)")
    parser.add_argument("--threads", type=int, default=ServerConfig.threads, help="inference threads (%(default)s)")
    parser.add_argument(
        "--drain-s",
        type=float,
        default=ServerConfig.drain_s,
        help="seconds open streams may go on at the end (%(default)g)",
    )
    values = parser.parse_args(arguments)
    return ServerConfig(
        models=tuple(values.model or ()),
        pipeline=values.pipeline,
        host=values.host,
        port=values.port,
        threshold=values.threshold,
        threads=values.threads,
        drain_s=values.drain_s,
    )


async def serve(config: ServerConfig) -> None:
    """Load the models, listen, say so in one line, and run until a signal ends it.

    Raises:
        ConfigError: the port is taken, or two models have one name.
        DependencyError: the extra ``serve`` is not installed.
        ModelError: a file is missing, damaged, or not a model.
    """
    try:
        from serving.engine import Engine
        from serving.server import Server
    except ImportError as error:
        raise DependencyError(
            "cannot serve", got=error, hint='Install what is missing: pip install "nanowakeword[serve]"'
        ) from error

    with Engine.load(config) as engine:
        server = Server(config, engine=engine)
        address = replace(config, port=await server.start()).address
        models = ", ".join(f"{model.name} (fires at {model.threshold:g})" for model in engine.models)
        print(f"listening on {address}: {models}", flush=True)
        await server.run_until_signal()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # gRPC's C core writes lines of its own about what we report better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        asyncio.run(serve(parse(arguments)))
    except NanoWakewordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before the server listened; later, a signal drains it
    return 0


if __name__ == "__main__":
    sys.exit(main())
