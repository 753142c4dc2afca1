"""The server's command line: ``python -m serving --model M.onnx``."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from nanowakeword.errors import NanoWakewordError
from serving.config import ServerConfig
from serving.ledger import Ledger, ledger_file
from serving.logs import set_up_logs
from serving.process import run_process, run_worker
from serving.settings import API_KEY_VARIABLE, parse

_API_KEY_FLAG: Final = "--api-key"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; the exit status."""
    # gRPC's C core writes lines of its own about what we report better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        config = parse(sys.argv[1:] if arguments is None else arguments)
        # Children and whatever they start need no keys.
        os.environ.pop(API_KEY_VARIABLE, None)
        set_up_logs(log_format=config.log_format, level=config.log_level)
        with ledger_file() as path:
            if config.workers == 1:
                run_process(config, ledger_path=path, worker=0, ready=_say)
                return 0
            return _run_workers(config, path)
    except NanoWakewordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before the server listened; later, a signal drains it


def _run_workers(config: ServerConfig, ledger_path: Path) -> int:
    """Run several processes; the exit status."""
    from serving.addresses import split_uri
    from serving.metrics_page import MetricsPage, metrics_of_workers
    from serving.workers import reserve_port, run_workers

    with ExitStack() as stack:
        config = replace(config, port=stack.enter_context(reserve_port(config.host, config.port)))
        if config.wyoming is not None:
            host, port = split_uri(config.wyoming, what="wyoming")
            shown = f"[{host}]" if ":" in host else host
            port = stack.enter_context(reserve_port(host, port))
            config = replace(config, wyoming=f"tcp://{shown}:{port}")
        if config.metrics is not None:
            stack.enter_context(MetricsPage(config.metrics, stack.enter_context(metrics_of_workers())))
        return run_workers(
            functools.partial(run_worker, config, ledger_path),
            count=config.workers,
            on_ready=lambda: _say(f"listening on {config.address} with {config.workers} workers"),
            on_exit=functools.partial(Ledger.forget, ledger_path),
        )


def _say(line: str) -> None:
    print(line, flush=True)


def _hide_api_keys() -> None:
    """Become a program with the same arguments less the API keys, which the environment hands over.

    Every user of the machine may read the arguments of a program, and only this one its environment.
    """
    arguments, kept, keys = iter(sys.orig_argv[1:]), [], []
    for argument in arguments:
        name, assigned, value = argument.partition("=")
        if name == _API_KEY_FLAG:
            keys.append(value if assigned else next(arguments, ""))
        else:
            kept.append(argument)
    if keys:
        print(
            f"warning: {_API_KEY_FLAG} was readable by all users of this machine for a moment, and may be kept in the "
            f"history of a shell; use --api-key-file, or {API_KEY_VARIABLE}",
            file=sys.stderr,
            flush=True,
        )
        os.execve(sys.executable, [sys.executable, *kept], {**os.environ, API_KEY_VARIABLE: ",".join(keys)})  # noqa: S606


if __name__ == "__main__":
    _hide_api_keys()
    sys.exit(main())
