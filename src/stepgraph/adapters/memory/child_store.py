"""MemoryChildStore: children in dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.model.child_row import ChildEnd, ChildPlace, ChildProgress, ChildRow
from stepgraph.ports.child_store import ChildStore


class MemoryChildStore(ChildStore):
    """Children of this process; what is open is kept apart, so that asking costs nothing."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def end(self, ends: Sequence[ChildEnd]) -> None:
        """Remember ends; the first stays."""
        storage = self._storage
        for run_id, status, run_state, in_use_by in ends:
            child = storage.children.get(run_id)
            if child is not None and child.is_open:
                storage.waiting_open.get(child.parent_run_id, set()).discard(run_id)
                storage.children[run_id] = replace(
                    child, status=status, run_state=run_state, is_open=False, in_use_by=in_use_by
                )

    async def progress(self, parent_run_ids: Sequence[str]) -> Sequence[ChildProgress]:
        """Say who still waits for children."""
        return [self._progress(run_id) for run_id in parent_run_ids]

    def _progress(self, run_id: str) -> ChildProgress:
        waiting = len(self._storage.waiting_children.get(run_id, ()))
        still_open = len(self._storage.waiting_open.get(run_id, ()))
        return ChildProgress(still_open > 0, still_open < waiting)

    async def find_children(self, run_ids: Sequence[str]) -> Sequence[ChildRow | None]:
        """Return children by their own ids."""
        return [self._storage.children.get(run_id) for run_id in run_ids]

    async def list_children(
        self, parent_run_id: str, after: ChildPlace | None, limit: int, *, only_waiting: bool
    ) -> Sequence[ChildRow]:
        """Return a page of a run's children."""
        storage = self._storage
        found = sorted(
            (storage.children[run_id] for run_id in storage.children_of.get(parent_run_id, ())),
            key=lambda child: child.place,
        )
        return [
            child
            for child in found
            if (after is None or child.place > after) and not (only_waiting and child.taken_version)
        ][:limit]

    async def scrub_staged(self, consumer: str, slot: int, run_id: str) -> None:
        """Empty the bodies of a run's rows."""
        queue = self._storage.queue(consumer, slot)
        for row in list(queue.rows.values()):
            if row.run_id == run_id:
                queue.put(replace(row, body=b""))
        for key, letter in list(self._storage.parked.items()):
            if key.consumer == consumer and letter.row.run_id == run_id:
                self._storage.parked[key] = letter._replace(row=replace(letter.row, body=b""))
