"""RunState: where in its life a run is, and the table of its legal changes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class RunState(IntEnum):
    """Where in its life a run is. The numbers are stored."""

    UNKNOWN = 0
    INITIATED = 1
    RUNNING = 2
    PAUSED = 3
    COMPLETED = 4
    CANCELLED = 5
    DATA_DELETED = 6
    REQUESTED_DATA_DELETED = 7

    @property
    def is_open(self) -> bool:
        """Initiated, running or paused: it blocks another run of the same foreign id."""
        return RunState.INITIATED <= self <= RunState.PAUSED

    @property
    def is_finished(self) -> bool:
        """Completed, cancelled, or its data deleted: no step will run any more."""
        return self >= RunState.COMPLETED


legal_changes: Mapping[RunState, frozenset[RunState]] = MappingProxyType(
    {
        RunState.UNKNOWN: frozenset({RunState.INITIATED}),
        RunState.INITIATED: frozenset(
            {RunState.RUNNING, RunState.PAUSED, RunState.COMPLETED, RunState.CANCELLED}
        ),
        RunState.RUNNING: frozenset(
            {RunState.RUNNING, RunState.PAUSED, RunState.COMPLETED, RunState.CANCELLED}
        ),
        RunState.PAUSED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
        RunState.COMPLETED: frozenset({RunState.REQUESTED_DATA_DELETED}),
        RunState.CANCELLED: frozenset({RunState.REQUESTED_DATA_DELETED}),
        RunState.REQUESTED_DATA_DELETED: frozenset({RunState.DATA_DELETED}),
        RunState.DATA_DELETED: frozenset({RunState.REQUESTED_DATA_DELETED}),
    }
)
"""Which run state may follow which; Running follows itself with every step of the way."""


def can_change(before: RunState, after: RunState) -> bool:
    """Return whether a commit may take a run from `before` to `after`."""
    return after in legal_changes[before]
