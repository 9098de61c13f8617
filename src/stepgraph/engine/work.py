"""Work: one piece of work in an instance's hands, from its arrival to its commit."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from msgspec import Struct

from stepgraph.model.event import Delivery
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.model.record import Record, RunRef
from stepgraph.model.run import Run
from stepgraph.model.write import Result


class Source(Protocol):
    """Where a piece of work came from, and what is told when it has left."""

    def left(self, work: Work, *, is_finished: bool) -> None:
        """Know that `work` is no longer in hand: for good, or to come again."""
        ...


class Work(Struct, eq=False):
    """What a delivery means while it is in hand.

    `key` is the queue row to delete with the effect; `delivery` the stream's event to acknowledge
    after it; `named` the run where there is no row. `record` is what was looked up, or committed
    together with the row, at `loaded_at` (loop time); `is_fit` says that the work is about just
    this version and attempt of it. `stop_reason` says why a running function is to be dropped:
    "time limit", "moved", "role lost" or "stop". `connection` is the transaction that the function
    asks for; `answer` is set when its write was made in that.
    """

    source: Source
    id: str
    slot: int
    row: QueueRow | None = None
    key: QueueKey | None = None
    version: int = 0
    attempt: int = 0
    due_at: int = 0
    record: Record | None = None
    loaded_at: float = 0.0
    is_fit: bool = False
    named: RunRef | None = None
    delivery: Delivery | None = None
    started_at: float = 0.0
    stop_reason: str = ""
    is_postponed: bool = False
    task: asyncio.Task[Any] | None = None
    run: Run[Any, Any] | None = None
    connection: Any = None
    answer: Result | None = None

    @property
    def ref(self) -> RunRef:
        """Return where the run is found."""
        if self.named is not None:
            return self.named
        if self.row is None:
            raise ValueError("work needs a row or a reference")
        return RunRef(self.row.workflow, self.row.foreign_id, self.row.run_id)

    @property
    def finished(self) -> tuple[QueueKey, ...]:
        """Return the queue rows to delete together with this work's effect."""
        return (self.key,) if self.key is not None else ()


def work_of_row(
    row: QueueRow, source: Source, record: Record | None = None, loaded_at: float = 0.0
) -> Work:
    """Return the work that a queue row asks for; `record` was committed together with the row."""
    return Work(
        source, row.id, row.slot, row, row.key, row.version, row.attempt, row.due_at,
        record, loaded_at, record is not None,
    )  # fmt: skip
