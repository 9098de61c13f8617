"""MemoryBacklog: counts the queue of the memory store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.ports.backlog import Backlog, Waiting, Waits


class MemoryBacklog(Backlog):
    """Counts slot by slot."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Count in `storage`."""
        self._storage = storage

    async def count(self, consumers: Mapping[str, Sequence[int]], now: int, limit: int) -> Waits:
        """Return what waits, at most `limit` of each kind in each slot."""
        parked = Counter((key.consumer, key.slot) for key in self._storage.parked)
        found: dict[tuple[str, int], Waiting] = {}
        for place in ((consumer, slot) for consumer in consumers for slot in consumers[consumer]):
            queue = self._storage.queues.get(place)
            due = len(queue.due(0, now, limit)) if queue is not None else 0
            if due or parked[place]:
                found[place] = Waiting(due, min(parked[place], limit))
        return found
