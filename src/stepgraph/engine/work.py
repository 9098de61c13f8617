"""Work: one piece of work in an instance's hands, from its arrival to its commit."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from stepgraph.model.event import Delivery
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.model.record import Record, RunRef
from stepgraph.model.run import Run


class Source(Protocol):
    """Where a piece of work came from, and what is told when it has left."""

    def left(self, work: Work, *, is_finished: bool) -> None:
        """Know that `work` is no longer in hand: for good, or to come again."""
        ...


class Work:
    """What a delivery means while it is in hand.

    `key` is the queue row to delete with the effect; `delivery` the stream's event to acknowledge
    after it. `record` is what was looked up at `loaded_at` (loop time), if it was. `stop_reason`
    says why a running function is to be dropped: "time limit", "moved", "role lost" or "stop".
    """

    __slots__ = (
        "_ref",
        "attempt",
        "body",
        "delivery",
        "due_at",
        "id",
        "is_postponed",
        "key",
        "loaded_at",
        "record",
        "row",
        "run",
        "slot",
        "source",
        "started_at",
        "stop_reason",
        "task",
        "version",
    )

    def __init__(
        self, source: Source, work_id: str, slot: int, ref: RunRef | None, row: QueueRow | None
    ) -> None:
        """Name the work by its row, or by `ref` where it has none."""
        self.source = source
        self.id = work_id
        self.slot = slot
        self.row = row
        self._ref = ref
        if row is None:
            self.key: QueueKey | None = None
            self.version = self.attempt = self.due_at = 0
            self.body = b""
        else:
            self.key = row.key
            self.version = row.version
            self.attempt = row.attempt
            self.due_at = row.due_at
            self.body = row.body
        self.delivery: Delivery | None = None
        self.record: Record | None = None
        self.loaded_at = 0.0
        self.started_at = 0.0
        self.stop_reason = ""
        self.is_postponed = False
        self.task: asyncio.Task[Any] | None = None
        self.run: Run[Any, Any] | None = None

    @property
    def ref(self) -> RunRef:
        """Return where the run is found."""
        if self._ref is not None:
            return self._ref
        if self.row is None:
            raise ValueError("work needs a row or a reference")
        return RunRef(self.row.workflow, self.row.foreign_id, self.row.run_id)

    @property
    def finished(self) -> tuple[QueueKey, ...]:
        """Return the queue rows to delete together with this work's effect."""
        return (self.key,) if self.key is not None else ()


def work_of_row(row: QueueRow, source: Source) -> Work:
    """Return the work that a queue row asks for."""
    return Work(source, row.id, row.slot, None, row)
