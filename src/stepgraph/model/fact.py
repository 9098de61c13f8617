"""Facts: what the engine reports; names and numbers only, never a run's object."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class RunMoved(Struct, frozen=True, gc=False):
    """A commit raised a run's version."""

    workflow: str
    run_id: str
    version: int
    status: int
    run_state: int
    previous_run_state: int


class AttemptFailed(Struct, frozen=True, gc=False):
    """A user function raised, or answered what it may not."""

    workflow: str
    run_id: str
    process: str
    attempt: int
    error_type: str


class EventSkipped(Struct, frozen=True, gc=False):
    """A delivery led to nothing, and why."""

    workflow: str
    process: str
    reason: str


class ProcessChanged(Struct, frozen=True, gc=False):
    """A background process changed its state."""

    workflow: str
    process: str
    state: str


class ProcessFailed(Struct, frozen=True, gc=False):
    """A background process met an error of its own, and backs off."""

    workflow: str
    process: str
    error: str


class BatchCommitted(Struct, frozen=True, gc=False):
    """One commit call returned."""

    writes: int
    committed: int
    seconds: float


class LagAlert(Struct, frozen=True, gc=False):
    """A process fell further behind than its alert allows, or caught up."""

    workflow: str
    process: str
    is_raised: bool
    lag_seconds: float


class TimerFired(Struct, frozen=True, gc=False):
    """A timeout function is about to be called, so long after its time."""

    workflow: str
    timer: str
    lateness_seconds: float


Fact: TypeAlias = (
    RunMoved
    | AttemptFailed
    | EventSkipped
    | ProcessChanged
    | ProcessFailed
    | BatchCommitted
    | LagAlert
    | TimerFired
)
