"""Change: what a hook is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Generic, TypeVar

from stepgraph.model.run import Snapshot
from stepgraph.model.run_state import RunState

ReadO = TypeVar("ReadO", covariant=True)
ReadS = TypeVar("ReadS", bound=IntEnum, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[ReadO, ReadS]):
    """A run-state change, as told to a hook. `run` is the run at that version or at a later one.

    The change itself is in `version`, `run_state`, `previous`, `reason`, `actor` and `at`, whatever
    became of the run since. Run id and version together name it: use them as idempotency key.
    """

    run: Snapshot[ReadO, ReadS]
    version: int
    run_state: RunState
    previous: RunState
    reason: str
    actor: str
    at: datetime
