"""The question that Docker and Kubernetes ask."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from serving.health_check import main
from serving.key_ring import ApiKey
from tests.certificates import Authority
from tests.serving.running import RunningServer

REPOSITORY = Path(__file__).parents[2]


def test_a_server_that_is_well(server: RunningServer) -> None:
    command = [sys.executable, "-W", "error", "-m", "serving.health_check", server.address]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_over_tls_with_keys(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    """Health checks from this machine need no key, and with an authority for clients a certificate of it."""
    authority = Authority(tmp_path, "authority")
    pair = authority.issue("nanowakeword")
    settings = {"ssl_certfile": pair.certificate, "ssl_keyfile": pair.key}
    trust = f"--ssl-ca-certs={authority.path}"
    closed = start(**settings, api_keys=(ApiKey.of("a-key-of-the-kitchen", name="kitchen"),))
    assert main([closed.address, trust]) == 0
    assert main([closed.address, trust, "--server-name=somebody-else"]) == 1
    assert main([closed.address]) == 1, "without TLS"
    mutual = start(**settings, ssl_ca_certs=authority.path)
    assert main([mutual.address, trust, f"--ssl-certfile={pair.certificate}", f"--ssl-keyfile={pair.key}"]) == 0
    assert main([mutual.address, trust]) == 1


def test_a_certificate_that_nobody_signed_vouches_for_itself(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """As in deploy/compose.yaml; made as deploy/README.md says."""
    made = subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=nanowakeword "
        f"-addext subjectAltName=DNS:nanowakeword -keyout {tmp_path}/tls.key -out {tmp_path}/tls.crt".split(),
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    server = start(ssl_certfile=tmp_path / "tls.crt", ssl_keyfile=tmp_path / "tls.key")
    assert main([server.address, f"--ssl-ca-certs={tmp_path}/tls.crt", "--server-name=nanowakeword"]) == 0


def test_a_server_that_says_it_is_not_well() -> None:
    with ThreadPoolExecutor(1) as threads:
        unwell = grpc.server(threads)
        servicer = HealthServicer()
        servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, unwell)
        port = unwell.add_insecure_port("127.0.0.1:0")
        unwell.start()
        assert main([f"127.0.0.1:{port}"]) == 1
        unwell.stop(None).wait()


def test_nobody_there(start: Callable[..., RunningServer], capsys: pytest.CaptureFixture[str]) -> None:
    server = start()
    server.stop(drain_s=0.0).result(10)
    assert main([server.address]) == 1
    assert capsys.readouterr().err.startswith("error: UNAVAILABLE: ")


def test_it_loads_no_models_and_no_numpy() -> None:
    program = "import serving.health_check, sys; print({'numpy', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
