"""Traces of calls and of runs for an OpenTelemetry collector. Imported only where the setting ``trace`` asks for it.

A call's span takes the client's ``traceparent``, so it hangs below the client's own. A stream's span lasts as long as
the stream. Runs of the models serve many streams, so their spans stand alone. Which share of all that is kept is set as
in every program with OpenTelemetry: ``OTEL_TRACES_SAMPLER``, ``OTEL_TRACES_SAMPLER_ARG``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import grpc

import nanowakeword
from nanowakeword.errors import DependencyError
from nanowakeword.v1 import wakeword_pb2
from serving.batching import BatchMetrics

try:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as missing:
    raise DependencyError(
        "cannot trace", got=missing, hint='Install what is missing: pip install "nanowakeword[tracing]"'
    ) from missing

__all__ = ["Tracing"]

_OURS: Final = tuple(f"/{service.full_name}/" for service in wakeword_pb2.DESCRIPTOR.services_by_name.values())
_PARENT: Final = ("traceparent", "tracestate")

Work = Callable[[Any, Any], Awaitable[Any]]


class Tracing:
    """Makes spans; a context manager that sends the last of them.

    Args:
        processor: takes finished spans.

    Attributes:
        interceptor: makes a span of each call to our service; for ``grpc.aio.server``.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        resource = Resource.create({SERVICE_NAME: "nanowakeword", SERVICE_VERSION: nanowakeword.__version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("nanowakeword.serving", nanowakeword.__version__)
        self.interceptor: Any = _Interceptor(self.span)

    @classmethod
    def to_collector(cls, endpoint: str) -> Self:
        """Send spans to a collector by OTLP over gRPC.

        Args:
            endpoint: such as ``http://127.0.0.1:4317``; ``https`` for TLS.
        """
        return cls(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))

    @contextlib.contextmanager
    def span(self, name: str, *, parent: dict[str, str] | None = None) -> Iterator[Any]:
        """A span of what is done meanwhile.

        An exception fails it, by its class alone: messages may tell what a client sent. One that cancels does not.

        Args:
            name: of the call.
            parent: the client's ``traceparent`` and ``tracestate``, where it sent them.
        """
        context = TraceContextTextMapPropagator().extract(parent or {})
        with self._tracer.start_as_current_span(
            name, context=context, kind=SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def batches(self, metrics: BatchMetrics) -> BatchMetrics:
        """What makes a span of each run of the models, and hands its figures on."""
        return _TracedBatches(metrics, self._tracer)

    def close(self) -> None:
        """Send what waits to be sent."""
        self._provider.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _TracedBatches:
    """Sees the runs of the models on their way to the metrics."""

    def __init__(self, metrics: BatchMetrics, tracer: Any) -> None:
        self._metrics = metrics
        self._tracer = tracer

    def batch(self, model: str, size: int, wait_s: float, infer_s: float) -> None:
        self._metrics.batch(model, size, wait_s, infer_s)
        end_ns = time.time_ns()
        facts = {"nanowakeword.models": model, "nanowakeword.streams": size, "nanowakeword.wait_s": wait_s}
        span = self._tracer.start_span("infer", start_time=end_ns - int(infer_s * 1e9), attributes=facts)
        span.end(end_ns)


class _Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Puts a span around each call to our service; health and reflection go past it."""

    def __init__(self, span: Callable[..., contextlib.AbstractContextManager[Any]]) -> None:
        self._span = span

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or not details.method.startswith(_OURS):
            return handler
        parent = {name: value for name, value in details.invocation_metadata if name in _PARENT}
        kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
        kind = next(kind for kind in kinds if getattr(handler, kind) is not None)
        traced = self._traced(getattr(handler, kind), method=details.method.lstrip("/"), parent=parent)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(traced, handler.request_deserializer, handler.response_serializer)

    def _traced(self, work: Work, *, method: str, parent: dict[str, str]) -> Work:
        async def traced(request: Any, context: Any) -> Any:
            with self._span(method, parent=parent) as span:
                span.set_attribute("rpc.system", "grpc")
                code = grpc.StatusCode.OK
                try:
                    return await work(request, context)
                except asyncio.CancelledError:
                    code = grpc.StatusCode.CANCELLED
                    raise
                except Exception:
                    code = context.code() or grpc.StatusCode.UNKNOWN
                    raise
                finally:
                    span.set_attribute("rpc.grpc.status_code", code.value[0])

        return traced
