"""MemoryWorkQueue: the queue rows of the memory store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.model.queue import ParkedRow, QueueKey, QueueRow, Want
from stepgraph.ports.work_queue import WorkQueue


class MemoryWorkQueue(WorkQueue):
    """Reads and moves queue rows."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def due(self, wants: Sequence[Want], now: int) -> Sequence[QueueRow]:
        """Return due rows, each want's limit shared among its slots."""
        return [row for want in wants for row in self._due(want, now)]

    def _due(self, want: Want, now: int) -> list[QueueRow]:
        queues = self._storage.queues
        waiting = [q for s in want.slots if (q := queues.get((want.consumer, s))) and q.rows]
        share = max(1, want.limit // max(1, len(waiting)))
        rows: list[QueueRow] = []
        taken: list[tuple[int, list[QueueRow]]] = []
        for queue in waiting:
            found = queue.due(want.after, now, want.limit)
            taken.append((share, found))
            rows.extend(found[:share])
        for used, found in taken:
            if len(rows) >= want.limit:
                break
            rows.extend(found[used : used + want.limit - len(rows)])
        return rows[: want.limit]

    async def next_due(self, consumers: Mapping[str, Sequence[int]]) -> Mapping[str, int]:
        """Return the earliest due instant of each consumer that has rows."""
        found: dict[str, int] = {}
        for consumer, slots in consumers.items():
            queues = (self._storage.queues.get((consumer, slot)) for slot in slots)
            instants = [i for q in queues if q is not None and (i := q.first()) is not None]
            if instants:
                found[consumer] = min(instants)
        return found

    async def put(self, rows: Sequence[tuple[QueueKey | None, QueueRow]]) -> None:
        """Insert rows, and replace those that are still there."""
        for key, row in rows:
            if key is None or self._storage.finish(key) is not None:
                self._storage.queue(row.consumer, row.slot).put(row)

    async def park(self, rows: Sequence[QueueRow], error: str, now: int) -> None:
        """Move rows to the dead letters."""
        for row in rows:
            if self._storage.finish(row.key) is not None:
                self._storage.parked[row.key] = ParkedRow(row, error, now)

    async def list_parked(self, consumer: str | None, limit: int) -> Sequence[ParkedRow]:
        """Return dead letters, oldest first."""
        parked = sorted(self._storage.parked.values(), key=lambda letter: letter.parked_at)
        return [p for p in parked if consumer in (None, p.row.consumer)][:limit]

    async def drive(self, keys: Sequence[QueueKey], now: int) -> int:
        """Queue dead letters again."""
        letters = [self._storage.parked.pop(key, None) for key in keys]
        rows = [replace(p.row, due_at=now, attempt=0) for p in letters if p is not None]
        for row in rows:
            self._storage.queue(row.consumer, row.slot).put(row)
        return len(rows)

    async def discard(self, keys: Sequence[QueueKey]) -> int:
        """Delete dead letters."""
        return sum(1 for key in keys if self._storage.parked.pop(key, None) is not None)
