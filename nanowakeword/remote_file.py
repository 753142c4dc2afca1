"""A recording that a server listens to, sent as the file that it is.

    for detection in detect_file("192.168.1.10:8765", "kitchen.mp3"):
        print(detection.phrase, detection.start_s)

The server decodes it, so that nothing but the extra ``remote`` is needed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Unpack

from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.remote_messages import detect_config, read_detections
from nanowakeword.remote_server import Credentials, RemoteServer, import_grpc
from nanowakeword.results import Detection

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["detect_file"]

# Every server takes this much in a message.
_PIECE_BYTES: Final = 32 * 1024


def detect_file(
    address: str,
    path: str | Path,
    *,
    models: str | Sequence[str] = (),
    threshold: float | None = None,
    budget_fa_per_hour: float | None = None,
    timeout_s: float = 300.0,
    **credentials: Unpack[Credentials],
) -> list[Detection]:
    """Detections in a recording of any format, rate and number of channels that the server reads, oldest first.

    Args:
        address: ``host:port`` of the server.
        path: the file.
        models: as for `RemoteStream`, and so are the others.
        threshold: score at which the models fire.
        budget_fa_per_hour: false accepts per hour to stay within.
        timeout_s: longest wait for the answer, from the first byte, in seconds.
        credentials: what the server asks for.

    Raises:
        AudioError: the file cannot be read.
        ConfigError: an argument is wrong, or credentials would cross a network in the clear.
        DependencyError: the extra ``remote`` is not installed.
        RemoteError: the server cannot be reached, does not answer in time, or refuses, also because of the file.
    """
    if not timeout_s > 0:
        raise ConfigError("bad timeout_s", got=timeout_s, expected="above 0 seconds")
    server = RemoteServer(address=address, **credentials)
    config = detect_config(models=models, threshold=threshold, budget_fa_per_hour=budget_fa_per_hour)
    grpc, _, stubs = import_grpc()
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below; opened here to tell its errors from later ones
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror}") from None
    with file, server.open_channel() as channel:
        call = stubs.WakeWordServiceStub(channel).DetectFile
        try:
            response = call(_requests(config, file), timeout=timeout_s, metadata=server.metadata)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise server.late("does not answer", timeout_s=timeout_s) from None
            raise server.explain(error, reached=False) from None
    return read_detections(response)


def _requests(config: pb.DetectConfig, file: BinaryIO) -> Iterator[pb.DetectFileRequest]:
    _, messages, _ = import_grpc()
    yield messages.DetectFileRequest(config=config)
    while data := file.read(_PIECE_BYTES):
        yield messages.DetectFileRequest(data=data)
