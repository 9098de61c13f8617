"""Facts: what the engine reports; names and numbers only, never a run's object or foreign id."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class RunMoved(Struct, frozen=True, gc=False):
    """A commit raised a run's version; told in `RunsMoved`.

    `error_type` names the error that paused it, and is empty for every other move. `created_at`
    and `at` are microseconds; `trace_parent` is the W3C trace context of the run's trigger.
    """

    workflow: str
    run_id: str
    version: int
    status: int
    run_state: int
    previous_run_state: int
    error_type: str = ""
    created_at: int = 0
    at: int = 0
    trace_parent: str = ""


class RunsMoved(Struct, frozen=True, gc=False):
    """One commit call raised the versions of these runs of a workflow, in this order."""

    workflow: str
    moves: tuple[RunMoved, ...]


class AttemptFailed(Struct, frozen=True, gc=False):
    """A user function raised, or answered what it may not."""

    workflow: str
    run_id: str
    process: str
    attempt: int
    error_type: str


class EventsConsumed(Struct, frozen=True, gc=False):
    """A process has done with events: `seconds` has for each the time from its start to its commit.

    What ends in one turn of the event loop is told at once: a fact for each event would cost more
    than the event.
    """

    workflow: str
    process: str
    seconds: tuple[float, ...]


class EventSkipped(Struct, frozen=True, gc=False):
    """A delivery led to nothing, and why."""

    workflow: str
    process: str
    reason: str


class RowParked(Struct, frozen=True, gc=False):
    """A queue row failed once too often and is a dead letter now."""

    workflow: str
    process: str


class ProcessChanged(Struct, frozen=True, gc=False):
    """A background process changed its state."""

    workflow: str
    process: str
    state: str


class ProcessFailed(Struct, frozen=True, gc=False):
    """A background process met an error of its own, and backs off; `error` is its type."""

    workflow: str
    process: str
    error: str


class SlotsHeld(Struct, frozen=True, gc=False):
    """How many of a process's slots this instance holds the roles of."""

    workflow: str
    process: str
    held: int
    total: int


class LagMeasured(Struct, frozen=True, gc=False):
    """How old the oldest due work of a process is; 0 if it has none."""

    workflow: str
    process: str
    lag_seconds: float


class LagAlert(Struct, frozen=True, gc=False):
    """A process fell further behind than its alert allows, or caught up."""

    workflow: str
    process: str
    is_raised: bool
    lag_seconds: float


class QueueCounted(Struct, frozen=True, gc=False):
    """How many rows of the slots held here are due, and how many are dead letters.

    Counting stops at 1,000 in each slot, so that a long queue costs no more than a short one.
    """

    workflow: str
    process: str
    due: int
    parked: int


class TimerFired(Struct, frozen=True, gc=False):
    """A timeout function is about to be called, so long after its time."""

    workflow: str
    timer: str
    lateness_seconds: float


class BatchCommitted(Struct, frozen=True, gc=False):
    """One commit call returned."""

    writes: int
    committed: int
    seconds: float


class CommitFailed(Struct, frozen=True, gc=False):
    """One commit call raised; its writes are tried again or refused one by one."""

    writes: int
    error_type: str


Fact: TypeAlias = (
    RunsMoved
    | AttemptFailed
    | EventsConsumed
    | EventSkipped
    | RowParked
    | ProcessChanged
    | ProcessFailed
    | SlotsHeld
    | LagMeasured
    | LagAlert
    | QueueCounted
    | TimerFired
    | BatchCommitted
    | CommitFailed
)
