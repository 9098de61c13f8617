"""OpenTelemetry: spans around triggers and the user's functions, and one for each whole run."""

from __future__ import annotations

from typing import Any, final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stepgraph.model.fact import Fact, RunMoved, RunsMoved
from stepgraph.model.run_state import RunState
from stepgraph.ports.observer import Observer
from stepgraph.ports.tracer import CallEnd, Span, TracedCall, Tracer

_KINDS = {
    "trigger": SpanKind.PRODUCER,
    "step": SpanKind.CONSUMER,
    "timeout": SpanKind.CONSUMER,
    "hook": SpanKind.CONSUMER,
    "connector": SpanKind.CONSUMER,
    "join": SpanKind.CONSUMER,
}
_FROM_OUTSIDE = frozenset({"trigger", "callback"})
_ENDED = (RunState.COMPLETED, RunState.CANCELLED)
_MICROSECOND = 1000
_propagator = TraceContextTextMapPropagator()


@final
class OpenTelemetry(Observer, Tracer):
    """Traces of every workflow that it is given to: `build(..., observers=[OpenTelemetry()])`.

    The context of the trigger is stored with the run; steps, timeouts, hooks and callbacks are its
    children, in whatever process they run and however much later. What a function traces itself is
    a child of its call. A callback is linked to the trace of its caller. When a run ends, a span
    from its creation to its end is made.

    Spans have the type of an error; with `error_messages=True` also its text, which may be
    personal. `tracer_provider` is the global one unless given; without an SDK nothing is recorded.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        error_messages: bool = False,
    ) -> None:
        """Trace with a tracer named "stepgraph"."""
        self._tracer = trace.get_tracer("stepgraph", tracer_provider=tracer_provider)
        self._error_messages = error_messages

    def trace_parent(self) -> str:
        """Return the W3C trace context of the current span; empty if there is none."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get("traceparent", "")

    def begin(self, call: TracedCall, /) -> Span:
        """Begin a span within the run's trace, and make it the current one."""
        parent, links = self._place_of(call)
        span = self._tracer.start_span(
            f"{call.kind} {call.name}",
            parent,
            _KINDS.get(call.kind, SpanKind.INTERNAL),
            _attributes(call),
            links,
        )
        return _Call(span, parent, error_messages=self._error_messages)

    def _place_of(self, call: TracedCall) -> tuple[Context, list[Link]]:
        """Return a span's parent and links.

        What the engine calls belongs to its run, whatever was current where the engine was started.
        """
        if call.kind not in _FROM_OUTSIDE:
            return _context_of(call.trace_parent), []
        if not call.trace_parent:
            return context.get_current(), []
        caller = trace.get_current_span().get_span_context()
        return _context_of(call.trace_parent), [Link(caller)] if caller.is_valid else []

    def observe(self, fact: Fact, /) -> None:
        """Make the span of a run that ended; other facts are no concern of a trace."""
        if type(fact) is RunsMoved:
            for move in fact.moves:
                if move.trace_parent and move.run_state in _ENDED:
                    self._close(move)

    def _close(self, move: RunMoved) -> None:
        self._tracer.start_span(
            f"run {move.workflow}",
            _context_of(move.trace_parent),
            attributes={
                "stepgraph.workflow": move.workflow,
                "stepgraph.run_id": move.run_id,
                "stepgraph.outcome": RunState(move.run_state).name,
            },
            start_time=move.created_at * _MICROSECOND,
        ).end(move.at * _MICROSECOND)


class _Call(Span):
    """A span that is the current one."""

    def __init__(self, span: trace.Span, parent: Context, *, error_messages: bool) -> None:
        self._span = span
        self._token = context.attach(trace.set_span_in_context(span, parent))
        self._error_messages = error_messages

    def end(self, end: CallEnd, /) -> None:
        """Give the context back that was there before, and finish the span."""
        context.detach(self._token)
        span = self._span
        if span.is_recording():
            span.set_attribute("stepgraph.outcome", end.outcome)
            if end.run_id:
                span.set_attribute("stepgraph.run_id", end.run_id)
            if end.error_type:
                span.set_attribute("error.type", end.error_type)
                text = f": {end.message}" if self._error_messages and end.message else ""
                span.set_status(StatusCode.ERROR, f"{end.error_type}{text}")
        span.end()


def _context_of(trace_parent: str) -> Context:
    """Return the context that a stored trace parent names; an empty one starts a new trace."""
    if not trace_parent:
        return Context()
    return _propagator.extract({"traceparent": trace_parent}, Context())


def _attributes(call: TracedCall) -> dict[str, Any]:
    found: dict[str, Any] = {
        "stepgraph.workflow": call.workflow,
        "stepgraph.function": "" if call.kind == "trigger" else call.name,
        "stepgraph.run_id": call.run_id,
        "stepgraph.status": call.status,
        "stepgraph.process": call.process,
        "stepgraph.attempt": call.attempt or "",
    }
    return {name: value for name, value in found.items() if value != ""}
