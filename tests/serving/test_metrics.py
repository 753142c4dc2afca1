"""Figures, and the page that Prometheus reads."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import nanowakeword
from nanowakeword.errors import ConfigError
from serving import metrics_page
from serving.metrics import Metrics
from serving.metrics_page import MetricsPage, metrics_of_workers

REPOSITORY = Path(__file__).parents[2]


def read(page: MetricsPage, *, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10.0)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8")
    finally:
        connection.close()


def samples(page: MetricsPage) -> dict[str, float]:
    """By name and labels, as a reader of the format sees them."""
    status, text = read(page)
    assert status == 200
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def page(metrics: Metrics) -> Iterator[MetricsPage]:
    with MetricsPage("127.0.0.1:0", metrics.registry) as page:
        yield page


def test_everything_counted_is_on_the_page(metrics: Metrics, page: MetricsPage) -> None:
    metrics.stream_opened()
    metrics.stream_opened()
    metrics.stream_closed()
    for _ in range(3):
        metrics.chunk()
    metrics.latency("read", 0.0004)
    metrics.latency("write", 0.3)
    metrics.batch("beep+boop", 5, 0.003, 0.0015)
    metrics.detection("beep")
    metrics.refused("overload")
    metrics.refused("overload")
    now = samples(page)
    assert now["nanowakeword_streams"] == 1
    assert now["nanowakeword_chunks_total"] == 3
    assert now["nanowakeword_latency_seconds_bucket 0.0005 read"] == 1
    assert now["nanowakeword_latency_seconds_bucket 0.25 write"] == 0
    assert now["nanowakeword_latency_seconds_bucket 1.0 write"] == 1
    assert now["nanowakeword_latency_seconds_sum wait"] == pytest.approx(0.003)
    assert now["nanowakeword_latency_seconds_sum infer"] == pytest.approx(0.0015)
    assert now["nanowakeword_batch_streams_bucket 4.0 beep+boop"] == 0
    assert now["nanowakeword_batch_streams_bucket 8.0 beep+boop"] == 1
    assert now["nanowakeword_detections_total beep"] == 1
    assert now["nanowakeword_refusals_total overload"] == 2
    assert now["nanowakeword_refusals_total rate"] == 0, "a reason that did not occur is there, too"
    assert any(name.startswith("nanowakeword_build_info") and nanowakeword.__version__ in name for name in now)


def test_one_message_in_sixteen_is_timed(metrics: Metrics, page: MetricsPage) -> None:
    for number in range(17):
        metrics.latency("read", float(number))
        metrics.latency("write", 0.5)
    now = samples(page)
    assert now["nanowakeword_latency_seconds_count read"] == now["nanowakeword_latency_seconds_count write"] == 2
    assert now["nanowakeword_latency_seconds_sum read"] == 16.0, "the first and the seventeenth"


def test_two_servers_of_a_process_count_apart(metrics: Metrics, page: MetricsPage) -> None:
    Metrics().chunk()
    assert samples(page)["nanowakeword_chunks_total"] == 0


def test_clients_cannot_make_labels_without_end(metrics: Metrics, page: MetricsPage) -> None:
    for number in range(200):
        metrics.batch(f"beep+{number}", 1, 0.0, 0.0)
    now = samples(page)
    assert sum(name.startswith("nanowakeword_batch_streams_count") for name in now) == 65
    assert now["nanowakeword_batch_streams_count others"] == 200 - 64


def test_all_threads_are_counted(metrics: Metrics, page: MetricsPage) -> None:
    def work() -> None:
        for _ in range(2_000):
            metrics.chunk()
            metrics.batch("beep", 1, 0.0, 0.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = samples(page)
    assert now["nanowakeword_chunks_total"] == now["nanowakeword_batch_streams_count beep"] == 8_000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/../secret", 404), ("POST", "/metrics", 405), ("GET", "/metrics?a=b", 200)],
)
def test_only_the_page_is_served(page: MetricsPage, method: str, path: str, status: int) -> None:
    assert read(page, method=method, path=path)[0] == status


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"x" * 100_000])
def test_what_is_no_request_is_answered_and_forgotten(page: MetricsPage, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=10.0) as connection:
        connection.sendall(request_)
        try:
            answer = connection.recv(1_000)
        except ConnectionResetError:  # the rest of what was sent lay unread
            answer = b""
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
    assert read(page)[0] == 200


def test_slow_visitors_are_sent_away(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_page, "_VISIT_S", 0.3)
    with MetricsPage("127.0.0.1:0", metrics.registry) as page:
        visitors = [socket.create_connection(("127.0.0.1", page.port), timeout=10.0) for _ in range(8)]
        for visitor in visitors:
            visitor.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
        began = time.monotonic()
        assert [left(visitor) for visitor in visitors] == [True] * 8
        assert time.monotonic() - began < 5.0
        assert read(page)[0] == 200


def test_more_visitors_than_there_is_room_for_are_refused(page: MetricsPage) -> None:
    visitors = [socket.create_connection(("127.0.0.1", page.port), timeout=10.0) for _ in range(9)]
    visitors[8].settimeout(2.0)  # well before the others' time is over
    assert left(visitors[8])
    for visitor in visitors:
        visitor.close()


def left(connection: socket.socket) -> bool:
    """Wait until the other side has ended a connection."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("address", "text"), [("192.0.2.1:0", "cannot serve metrics on 192.0.2.1:0"), ("9464", "bad address in metrics")]
)
def test_an_address_that_cannot_be_had_is_told(metrics: Metrics, address: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        MetricsPage(address, metrics.registry).__enter__()


def test_a_taken_port_is_told(metrics: Metrics, page: MetricsPage) -> None:
    with pytest.raises(ConfigError, match=f"cannot serve metrics on 127.0.0.1:{page.port}.*--metrics"):
        MetricsPage(f"127.0.0.1:{page.port}", metrics.registry).__enter__()


def test_ipv6(metrics: Metrics) -> None:
    with MetricsPage("[::1]:0", metrics.registry) as page, socket.create_connection(("::1", page.port), timeout=5.0):
        pass


def test_a_page_that_cannot_be_made_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def collect(self) -> Iterator[object]:
            raise RuntimeError("the secret reason")

    registry = CollectorRegistry()
    registry._collector_to_names[Broken()] = []  # type: ignore[index]
    with MetricsPage("127.0.0.1:0", registry) as page:
        status, text = read(page)
    assert status == 500
    assert "secret" not in text
    assert "no metrics" in caplog.text


WORKER = """
import sys
from serving.metrics import Metrics
metrics = Metrics()
metrics.stream_opened()
metrics.chunk()
metrics.batch("beep", int(sys.argv[1]), 0.01, 0.01)
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_figures_of_workers_are_added_and_a_dead_one_has_no_streams() -> None:
    with metrics_of_workers() as registry, MetricsPage("127.0.0.1:0", registry) as page:
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        workers = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", WORKER, size],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for size in ("1", "3")
        ]
        try:
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == b"ready\n"
            now = samples(page)
            assert now["nanowakeword_streams"] == 2
            assert now["nanowakeword_chunks_total"] == 2
            assert now["nanowakeword_batch_streams_bucket 1.0 beep"] == 1
            assert now["nanowakeword_batch_streams_bucket 4.0 beep"] == 2
            workers[0].kill()
            workers[0].wait(10)
            now = samples(page)
            assert now["nanowakeword_streams"] == 1, "a killed worker holds no streams"
            assert now["nanowakeword_chunks_total"] == 2, "what it did has been done"
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate(timeout=10)
    assert not folder.exists()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
