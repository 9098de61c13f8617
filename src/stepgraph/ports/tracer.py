"""Tracer: an observer that also follows each call of a user's function, and who caused it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

CallKind: TypeAlias = Literal[
    "trigger", "step", "callback", "timeout", "hook", "connector", "join", "schedule"
]


class TracedCall(Struct, frozen=True, gc=False):
    """What is called: names and numbers only, nothing personal.

    `name` is the function's. `trace_parent` is the W3C trace context of what caused the call: the
    run's trigger, or what an outside event carried; empty if that is not known.
    """

    kind: CallKind
    workflow: str
    name: str
    run_id: str = ""
    status: str = ""
    process: str = ""
    attempt: int = 0
    trace_parent: str = ""


class CallEnd(Struct, frozen=True, gc=False):
    """What came of a call: `outcome` is the name of the status or answer, or what happened else.

    `error_type` is empty if nothing failed. `message` is the text of the error, which may be
    personal. `run_id` is the run's where it was not known at the beginning.
    """

    outcome: str
    error_type: str = ""
    message: str = ""
    run_id: str = ""


class Span(Protocol):
    """A call that is under way."""

    @abstractmethod
    def end(self, end: CallEnd, /) -> None:
        """Finish it, in the task that began it."""
        ...


@runtime_checkable
class Tracer(Protocol):
    """Must not block or raise; what it raises is logged and harms no call."""

    @abstractmethod
    def trace_parent(self) -> str:
        """Return the W3C trace context ("traceparent") of what runs now; empty if there is none."""
        ...

    @abstractmethod
    def begin(self, call: TracedCall, /) -> Span:
        """Begin a span and make it the current one until it ends."""
        ...
