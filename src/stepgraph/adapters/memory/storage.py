"""Storage: what the memory backend keeps, and what its twins share."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable

from stepgraph.model.history import HistoryRow
from stepgraph.model.queue import ParkedRow, QueueKey, QueueRow
from stepgraph.model.record import Record


class SlotQueue:
    """The rows of one (consumer, slot) in the order (due_at, id)."""

    __slots__ = ("order", "rows")

    def __init__(self) -> None:
        """Start empty."""
        self.order: list[tuple[int, str]] = []
        self.rows: dict[tuple[int, str], QueueRow] = {}

    def put(self, row: QueueRow) -> None:
        """Insert a row; one of the same key is replaced."""
        place = (row.due_at, row.id)
        if place not in self.rows:
            if not self.order or self.order[-1] < place:
                self.order.append(place)
            else:
                insort(self.order, place)
        self.rows[place] = row

    def remove(self, due_at: int, row_id: str) -> QueueRow | None:
        """Take a row out, if it is there."""
        place = (due_at, row_id)
        row = self.rows.pop(place, None)
        if row is not None:
            del self.order[bisect_left(self.order, place)]
        return row

    def due(self, after: int, now: int, limit: int) -> list[QueueRow]:
        """Return up to `limit` rows with after <= due_at <= now, oldest first."""
        order = self.order
        first = bisect_left(order, (after, "")) if after else 0
        last = bisect_right(order, (now, "\U0010ffff"))
        rows = self.rows
        return [rows[place] for place in order[first : min(last, first + limit)]]


class MemoryStorage:
    """Everything that the memory backend stores; a commit touches it without suspending."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.records: dict[str, Record] = {}
        self.open_runs: dict[tuple[str, str], str] = {}
        self.runs_of: dict[tuple[str, str], list[str]] = {}
        self.history: dict[str, list[HistoryRow]] = {}
        self.unique: dict[tuple[str, str], bytes] = {}
        self.queues: dict[tuple[str, int], SlotQueue] = {}
        self.parked: dict[QueueKey, ParkedRow] = {}
        self.listeners: dict[int, Callable[[], None]] = {}

    def queue(self, consumer: str, slot: int) -> SlotQueue:
        """Return the queue of a consumer's slot."""
        found = self.queues.get((consumer, slot))
        if found is None:
            found = self.queues[(consumer, slot)] = SlotQueue()
        return found

    def finish(self, key: QueueKey) -> QueueRow | None:
        """Delete a queue row, if it is there."""
        queue = self.queues.get((key.consumer, key.slot))
        return queue.remove(key.due_at, key.id) if queue is not None else None
