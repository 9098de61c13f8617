"""Trigger and TriggerResult: one run to start, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from stepgraph.errors import WorkflowError

ReadO = TypeVar("ReadO", covariant=True)


@dataclass(frozen=True, slots=True)
class Trigger(Generic[ReadO]):
    """One run to start, for `trigger_many`; the words of `Workflow.trigger`."""

    foreign_id: str
    initial: ReadO
    idempotency_key: str | None = field(default=None, kw_only=True)
    after: timedelta | datetime | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class TriggerResult:
    """What became of one item: `error` is None, or says why nothing was created."""

    foreign_id: str
    run_id: str
    error: WorkflowError | None = None
