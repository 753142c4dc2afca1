"""Servers for tests of the client: ours in a process of its own, and peers that misbehave."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import grpc

from nanowakeword.v1 import wakeword_pb2 as pb
from nanowakeword.v1.wakeword_pb2_grpc import WakeWordServiceServicer, add_WakeWordServiceServicer_to_server
from serving.models import load_model
from serving.protocol import write_model

REPOSITORY = Path(__file__).parents[2]
OPENED = pb.DetectResponse(opened=pb.StreamOpened(max_audio_bytes=65_536, max_features_bytes=65_536))

Detect = Callable[[Iterator[pb.DetectRequest]], Iterator[pb.DetectResponse]]


class ServerProcess:
    """Our server as people start it; it can be killed and started again on its port."""

    def __init__(self, *models: Path) -> None:
        self._models = [argument for path in models for argument in ("--model", str(path))]
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "serving", *self._models, "--port", str(self.port)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[2].rstrip(":").rpartition(":")[2])

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextmanager
def peer(
    detect: Detect | None, model: Path | None = None, *, credentials: Any = None, seen: list[Any] | None = None
) -> Iterator[str]:
    """A gRPC server that is not ours, with one model in its list and its own idea of ``Detect``.

    Metadata of each call are added to ``seen``.
    """

    class Servicer(WakeWordServiceServicer):
        def Detect(self, requests: Iterator[pb.DetectRequest], context: Any) -> Any:  # noqa: N802
            assert detect is not None
            self._note(context)
            return detect(requests)

        def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: ARG002, N802
            assert model is not None
            self._note(context)
            served = load_model(model, threshold=None, pipeline="full")
            return pb.ListModelsResponse(models=[write_model(served, is_default=True)])

        def _note(self, context: Any) -> None:
            if seen is not None:
                seen.append(dict(context.invocation_metadata()))

    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        if detect is not None or model is not None:
            add_WakeWordServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def wait_for(condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
