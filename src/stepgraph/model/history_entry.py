"""HistoryEntry and Attempt: a run's history in the user's types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Generic, TypeVar

from stepgraph.model.history import Cause
from stepgraph.model.run_state import RunState

ReadS = TypeVar("ReadS", bound=IntEnum, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry(Generic[ReadS]):
    """One committed version of a run, and why it came to be."""

    version: int
    status: ReadS
    run_state: RunState
    cause: Cause
    actor: str
    reason: str
    role: str
    instance: str
    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One failed try of a user's function; `next_at` is when it is tried again, if it is."""

    number: int
    error_type: str
    message: str
    traceback: str
    at: datetime
    next_at: datetime | None
