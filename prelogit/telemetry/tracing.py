"""Traces by OpenTelemetry, where they are switched on; else all of this does nothing.

OpenTelemetry is an extra: it is imported here alone, and only once it is wanted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from prelogit.core.errors import PrelogitError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

Switch = Literal["on", "off"]
HEADER = "traceparent"

_tracer: Tracer | None = None


def start(process: str, switch: Switch) -> Callable[[], None]:
    """Send spans to where the ``OTEL_*`` variables say, by OTLP over HTTP. Returns: what ends that.

    Raises: PrelogitError: OpenTelemetry is not installed.
    """
    if switch == "off":
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise PrelogitError(
            "PRELOGIT_OTEL is on, but OpenTelemetry is not installed: pip install 'prelogit[otel]', "
            "or set PRELOGIT_OTEL=off"
        ) from error
    told = os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in told
    resource = Resource.create({} if named else {"service.name": f"prelogit-{process}"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)

    def stop() -> None:
        use(None)
        provider.shutdown()  # sends what is left

    return stop


def use(provider: TracerProvider | None) -> None:
    """Make spans by this provider from now on; None: make none."""
    global _tracer
    _tracer = None if provider is None else provider.get_tracer("prelogit")


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def open_span(
    name: str,
    *,
    within: Span | Mapping[str, str] | None = None,
    kind: Literal["internal", "server", "client"] = "internal",
    since: int | None = None,
    **attributes: str | int,
) -> Span | None:
    """A span that somebody ends; None where tracing is off.

    Args: within: the span around it, or headers that tell of one; None: where this code runs.
          since: Unix nanoseconds of its beginning, None: now.
    """
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind

    return _tracer.start_span(
        name,
        context=_context(within),
        kind=SpanKind[kind.upper()],
        start_time=since,
        attributes={f"prelogit.{key}": value for key, value in attributes.items()},
    )


@contextmanager
def entered(span: Span | None) -> Iterator[Span | None]:
    """Code in the block runs within the span, which ends with it. Of an error its kind alone is kept:

    messages may quote what no trace should hold.
    """
    if span is None:
        yield None
        return
    from opentelemetry.trace import Status, StatusCode, use_span

    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def failed(span: Span | None, reason: str) -> None:
    """The span's work went wrong; ``reason`` is safe to show."""
    if span is not None:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, reason))


def traceparent() -> str | None:
    """The W3C header that continues the trace of the code that runs here; None: there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER)


def nanoseconds() -> int:
    """Now, as spans have it."""
    return time.time_ns()


def _context(within: Span | Mapping[str, str] | None) -> Any:
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if within is None:
        return None
    if isinstance(within, Mapping):
        return TraceContextTextMapPropagator().extract(within)
    return set_span_in_context(within)
