"""Asks a server whether it is well: ``python -m serving.health_check 127.0.0.1:8765``; exit status 0 if it is.

For Docker, Kubernetes and the like. It loads no models and needs nothing but gRPC.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

__all__ = ["is_well", "main"]


def is_well(address: str, *, credentials: Any = None, server_name: str | None = None, timeout_s: float = 4.0) -> bool:
    """Whether the server takes calls.

    Args:
        address: ``host:port``.
        credentials: of gRPC, for TLS; None: without.
        server_name: name in the server's certificate, where it is not the host's.
        timeout_s: for the answer.
    """
    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    with (
        grpc.insecure_channel(address, options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options)
    ) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            print(f"error: {error.code().name}: {error.details()}", file=sys.stderr)
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the server that the arguments name; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.health_check", description="Ask a server whether it is well."
    )
    parser.add_argument("address", nargs="?", default="127.0.0.1:8765", metavar="HOST:PORT", help="(%(default)s)")
    parser.add_argument("--ssl-ca-certs", type=Path, metavar="FILE", help="TLS: authorities, or the certificate itself")
    parser.add_argument("--ssl-certfile", type=Path, metavar="FILE", help="our own certificate, if the server asks")
    parser.add_argument("--ssl-keyfile", type=Path, metavar="FILE", help="its key")
    parser.add_argument("--server-name", metavar="NAME", help="name in the server's certificate (the host's)")
    values = parser.parse_args(arguments)
    credentials = None
    if values.ssl_ca_certs is not None:
        ours = [path and path.read_bytes() for path in (values.ssl_keyfile, values.ssl_certfile)]
        credentials = grpc.ssl_channel_credentials(values.ssl_ca_certs.read_bytes(), *ours)
    return 0 if is_well(values.address, credentials=credentials, server_name=values.server_name) else 1


if __name__ == "__main__":
    sys.exit(main())
