"""Storage: what the memory backend keeps, and what its twins share."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from stepgraph.model.child_row import ChildRow
from stepgraph.model.history import HistoryRow
from stepgraph.model.queue import ParkedRow, QueueKey, QueueRow
from stepgraph.model.record import Record
from stepgraph.model.schedule import Schedule, ScheduleKey
from stepgraph.model.tombstone import Tombstone
from stepgraph.ports.definition_store import StoredBody


class TakenName(NamedTuple):
    """The body of a unique name, and when a run of which workflow took it."""

    body: bytes
    workflow: str
    at: int


class SlotQueue:
    """The rows of one (consumer, slot) in the order (due_at, id).

    A row that was taken out leaves its place in the order behind; places without a row are
    dropped once there are more of them than rows.
    """

    __slots__ = ("_order", "rows")

    def __init__(self) -> None:
        """Start empty."""
        self._order: list[tuple[int, str]] = []
        self.rows: dict[tuple[int, str], QueueRow] = {}

    def put(self, row: QueueRow) -> None:
        """Insert a row; one of the same key is replaced."""
        place = (row.due_at, row.id)
        order = self._order
        if not order or order[-1] < place:
            order.append(place)
        elif place not in self.rows:
            at = bisect_left(order, place)
            if order[at] != place:
                order.insert(at, place)
        self.rows[place] = row

    def remove(self, place: tuple[int, str]) -> QueueRow | None:
        """Take a row out, if it is there."""
        rows = self.rows
        row = rows.pop(place, None)
        if len(self._order) > 2 * len(rows) + 64:
            self._order = sorted(rows)
        return row

    def first(self) -> int | None:
        """Return the earliest due instant."""
        return next((place[0] for place in self._order if place in self.rows), None)

    def due(self, after: int, now: int, limit: int) -> list[QueueRow]:
        """Return up to `limit` rows with after <= due_at <= now, oldest first."""
        first = bisect_left(self._order, (after, "")) if after else 0
        rows = self.rows
        found: list[QueueRow] = []
        for at in range(first, len(self._order)):
            place = self._order[at]
            if place[0] > now or len(found) == limit:
                break
            if (row := rows.get(place)) is not None:
                found.append(row)
        return found


class MemoryStorage:
    """Everything that the memory backend stores; a commit touches it without suspending."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.records: dict[str, Record] = {}
        self.open_runs: dict[tuple[str, str], str] = {}
        self.runs_of: dict[tuple[str, str], list[str]] = {}
        self.history: dict[str, list[HistoryRow]] = {}
        self.schedules: dict[ScheduleKey, Schedule] = {}
        self.unique: dict[tuple[str, str], TakenName] = {}
        self.tombstones: dict[str, Tombstone] = {}
        self.queues: dict[tuple[str, int], SlotQueue] = {}
        self.parked: dict[QueueKey, ParkedRow] = {}
        self.children: dict[str, ChildRow] = {}
        self.children_of: dict[str, list[str]] = {}
        self.waiting_children: dict[str, dict[str, None]] = {}
        self.waiting_open: dict[str, set[str]] = {}
        self.definitions: dict[str, dict[str, StoredBody]] = {}
        self.listeners: dict[int, Callable[[], None]] = {}

    def queue(self, consumer: str, slot: int) -> SlotQueue:
        """Return the queue of a consumer's slot."""
        found = self.queues.get((consumer, slot))
        if found is None:
            found = self.queues[consumer, slot] = SlotQueue()
        return found

    def finish(self, key: QueueKey) -> QueueRow | None:
        """Delete a queue row, if it is there."""
        queue = self.queues.get(key[:2])
        return queue.remove(key[2:]) if queue is not None else None

    def add_children(self, children: Sequence[ChildRow]) -> None:
        """Insert children; what is there already stays as it is."""
        for child in children:
            if child.run_id not in self.children:
                parent = child.parent_run_id
                self.children[child.run_id] = child
                self.children_of.setdefault(parent, []).append(child.run_id)
                self.waiting_children.setdefault(parent, {})[child.run_id] = None
                self.waiting_open.setdefault(parent, set()).add(child.run_id)

    def take_children(self, record: Record) -> None:
        """Mark the children that a run had so far as given to its join."""
        self.waiting_open.pop(record.run_id, None)
        for run_id in self.waiting_children.pop(record.run_id, ()):
            child = self.children[run_id]
            self.children[run_id] = replace(child, taken_version=record.version)
