"""Tracing: spans around the calls of a user's functions, and the trace that a run belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

from stepgraph.engine.transition import Call, Transition
from stepgraph.engine.work import Work
from stepgraph.errors import DefinitionError
from stepgraph.model.record import Record
from stepgraph.model.run_state import RunState
from stepgraph.model.write import Write
from stepgraph.ports.log import Log
from stepgraph.ports.observer import Observer
from stepgraph.ports.tracer import CallEnd, Span, TracedCall, Tracer

Run: TypeAlias = Callable[[Work, Record], Awaitable[Write | None]]


class Ending:
    """How a traced call ended; what runs inside says it."""

    __slots__ = ("error_type", "message", "outcome", "run_id")

    def __init__(self) -> None:
        """A call of which nothing is said has simply returned."""
        self.outcome = "done"
        self.error_type = ""
        self.message = ""
        self.run_id = ""

    def raised(self, error: BaseException) -> None:
        """Say that an error ended it. Cancellation is an interruption and no failure."""
        if isinstance(error, Exception | SystemExit):
            self.outcome = "failed"
            self.error_type = type(error).__name__
            self.message = str(error)
        else:
            self.outcome = "interrupted"

    def wrote(self, call: Call, write: Write | None, nothing: str) -> None:
        """Say what a function's answer came to; `nothing` is what no write means."""
        self.outcome = nothing if write is None else outcome_of(call, write)
        failure = write.history.failure if write is not None and write.history else None
        if failure is not None:
            self.error_type, self.message = failure.error_type, failure.message


class Tracing:
    """The tracer among a workflow's observers; an error of it is logged and harms no call."""

    def __init__(self, tracer: Tracer, log: Log) -> None:
        """Trace with `tracer`."""
        self._tracer = tracer
        self._log = log
        self._has_complained = False

    def trace_parent(self) -> str:
        """Return the trace context of what runs now; empty if there is none."""
        try:
            return self._tracer.trace_parent()
        except Exception as error:
            self._complain(error)
            return ""

    @contextmanager
    def span(self, call: TracedCall) -> Generator[Ending]:
        """Follow what is done inside; errors go through."""
        ending = Ending()
        span: Span | None = None
        try:
            span = self._tracer.begin(call)
        except Exception as error:
            self._complain(error)
        try:
            yield ending
        except BaseException as error:
            ending.raised(error)
            raise
        finally:
            if span is not None:
                try:
                    span.end(
                        CallEnd(ending.outcome, ending.error_type, ending.message, ending.run_id)
                    )
                except Exception as error:
                    self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            kind = type(self._tracer).__name__
            self._log.error("tracer %s failed; this is told once", kind, error=error)


def tracing_of(observers: Sequence[Observer], log: Log) -> Tracing | None:
    """Return the tracing of a workflow, or None; raises `DefinitionError` for a second tracer."""
    tracers = [observer for observer in observers if isinstance(observer, Tracer)]
    if len(tracers) > 1:
        kinds = ", ".join(type(tracer).__name__ for tracer in tracers)
        raise DefinitionError(
            f"observers= has {len(tracers)} tracers ({kinds}): a run belongs to one trace, so give"
            " one, and let it export to several places"
        )
    return Tracing(tracers[0], log) if tracers else None


def trace_parent_of(tracing: Tracing | None, cause: Record | None = None) -> str:
    """Return the trace context that a new run stores in its Meta.

    It is that of the run that caused it, if one did; else that of the code that triggers it.
    """
    if cause is not None:
        return cause.meta.trace_parent
    return "" if tracing is None else tracing.trace_parent()


def call_of(call: Call, record: Record, process: str, attempt: int) -> TracedCall:
    """Return how a call of a function that moves runs is traced."""
    return TracedCall(
        call.kind,
        record.workflow,
        call.name,
        record.run_id,
        call.status_value.name,
        process,
        attempt,
        record.meta.trace_parent,
    )


def traced(tracing: Tracing, transition: Transition, process_of: Callable[[int], str]) -> Run:
    """Return a step's transition with a span around each run of it."""
    call = transition.call

    async def run(work: Work, record: Record) -> Write | None:
        about = call_of(call, record, process_of(work.slot), record.attempt + 1)
        with tracing.span(about) as ending:
            write = await transition.run(work, record)
            ending.wrote(call, write, "interrupted")
            return write

    return run


def answering(
    tracing: Tracing | None, call: Call, record: Record, process: str, attempt: int
) -> AbstractContextManager[Ending]:
    """Follow a callback's or a timeout's call, if anybody traces."""
    if tracing is None:
        return nullcontext(Ending())
    return tracing.span(call_of(call, record, process, attempt))


def outcome_of(call: Call, write: Write) -> str:
    """Return where an answer led: a status's name, or the answer's own name."""
    record, history = write.record, write.history
    if history is None:
        return "Skip"
    if history.failure is not None:
        return "failed" if history.attempt else "paused"
    if record.run_state == RunState.PAUSED:
        return "Pause"
    if record.run_state == RunState.CANCELLED:
        return "Cancel"
    if record.entered_version != record.version:
        return "Repeat"
    return str(call.status_type(record.status).name)
