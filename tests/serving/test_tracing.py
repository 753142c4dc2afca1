"""Spans of calls, of streams and of runs, taken where they would be sent; and some sent to a collector."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.span import format_span_id, format_trace_id

import nanowakeword
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.tracing import Tracing
from tests.serving.running import TIMEOUT_S, RunningServer, audio, config, wait_for

REPOSITORY = Path(__file__).parents[2]
SERVICE = "nanowakeword.v1.WakeWordService"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HOP = np.zeros(1_280, np.int16)


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.clear()


@pytest.fixture
def traced(start: Callable[..., RunningServer], exporter: InMemorySpanExporter) -> Iterator[RunningServer]:
    with Tracing(SimpleSpanProcessor(exporter)) as tracing:
        yield start(tracing=tracing)


def spans(exporter: InMemorySpanExporter, name: str, *, count: int = 1) -> list[ReadableSpan]:
    """Finished spans of a name: a call's ends a moment after its answer."""
    found: list[ReadableSpan] = []

    def are_there() -> bool:
        found[:] = [span for span in exporter.get_finished_spans() if span.name == name]
        return len(found) >= count

    wait_for(are_there)
    assert len(found) == count
    return found


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_call_is_a_span_below_the_clients(traced: RunningServer, exporter: InMemorySpanExporter) -> None:
    secret = ("x-api-key", "a-very-secret-key-1234")
    with traced.stub() as stub:
        stub.GetServerInfo(
            pb.GetServerInfoRequest(), timeout=5.0, metadata=[("traceparent", f"00-{TRACE}-{PARENT}-01"), secret]
        )
    (span,) = spans(exporter, f"{SERVICE}/GetServerInfo")
    assert span.parent is not None
    assert (format_trace_id(span.parent.trace_id), format_span_id(span.parent.span_id)) == (TRACE, PARENT)
    assert span.kind is SpanKind.SERVER
    assert facts(span) == {"rpc.system": "grpc", "rpc.grpc.status_code": 0}
    assert span.resource.attributes["service.name"] == "nanowakeword"
    assert span.resource.attributes["service.version"] == nanowakeword.__version__
    assert "secret" not in span.to_json()


def test_a_stream_is_a_span_as_long_as_it_lasts(traced: RunningServer, exporter: InMemorySpanExporter) -> None:
    assert traced.talk([config(), audio(HOP), audio(HOP)])
    (span,) = spans(exporter, f"{SERVICE}/Detect")
    assert span.parent is None
    assert facts(span)["rpc.grpc.status_code"] == 0
    runs = spans(exporter, "infer", count=2)
    assert span.start_time is not None
    assert span.end_time is not None
    for run in runs:
        assert facts(run)["nanowakeword.models"] == "beep"
        assert facts(run)["nanowakeword.streams"] == 1
        assert facts(run)["nanowakeword.wait_s"] >= 0.0
        assert run.start_time is not None
        assert run.end_time is not None
        assert span.start_time < run.end_time <= span.end_time
        assert run.start_time <= run.end_time
    assert traced.metrics.registry.get_sample_value("nanowakeword_batch_streams_count", {"model": "beep"}) == 2


def test_a_refused_call_fails_its_span_without_what_was_sent(
    traced: RunningServer, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(grpc.RpcError, match="somebody"):
        traced.talk([config(pb.ModelSelection(name="somebody"))])
    (span,) = spans(exporter, f"{SERVICE}/Detect")
    assert span.status.status_code is StatusCode.ERROR
    assert facts(span)["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert "somebody" not in span.to_json()


def test_a_client_that_leaves_fails_nothing(traced: RunningServer, exporter: InMemorySpanExporter) -> None:
    left = threading.Event()

    def requests() -> Iterator[pb.DetectRequest]:
        yield config()
        left.wait(TIMEOUT_S)

    with traced.stub() as stub:
        call = stub.Detect(requests(), timeout=TIMEOUT_S)
        next(call)
        call.cancel()
    left.set()
    (span,) = spans(exporter, f"{SERVICE}/Detect")
    assert span.status.status_code is StatusCode.UNSET


def test_a_parent_that_is_none_is_passed_over(traced: RunningServer, exporter: InMemorySpanExporter) -> None:
    with traced.stub() as stub:
        for value in ("nonsense", "00-0-0-01", "x" * 5_000):
            stub.ListModels(pb.ListModelsRequest(), timeout=5.0, metadata=[("traceparent", value)])
    assert all(span.parent is None for span in spans(exporter, f"{SERVICE}/ListModels", count=3))


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        for spans in request.resource_spans:
            self.names += [span.name for scope in spans.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


def test_spans_reach_a_collector(start: Callable[..., RunningServer]) -> None:
    collector = Collector()
    with futures.ThreadPoolExecutor(2) as threads:
        service = grpc.server(threads)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, service)  # type: ignore[no-untyped-call]
        port = service.add_insecure_port("127.0.0.1:0")
        service.start()
        with Tracing.to_collector(f"http://127.0.0.1:{port}") as tracing:
            start(tracing=tracing).talk([config(), audio(HOP)])
        assert sorted(collector.names) == ["infer", f"{SERVICE}/Detect"]
        service.stop(None).wait()


def test_nothing_is_imported_when_off() -> None:
    program = (
        "import serving.__main__, serving.server, serving.engine, sys;"
        "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'wyoming', 'zeroconf')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("module", "package", "extra"), [("tracing", "opentelemetry", "tracing"), ("wyoming",) * 3])
def test_without_the_packages_the_extra_is_named(module: str, package: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules['{package}'] = None\n"
        "from nanowakeword.errors import DependencyError\n"
        f"try:\n    import serving.{module}\nexcept DependencyError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True
    )
    assert f'pip install "nanowakeword[{extra}]"' in done.stdout
