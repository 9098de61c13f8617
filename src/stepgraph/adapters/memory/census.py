"""MemoryCensus: counts runs by status in one walk over all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.model.record import RunRef
from stepgraph.model.status_count import StatusCount
from stepgraph.ports.census import Census


class MemoryCensus(Census):
    """Looks at the newest first."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def count_by_status(
        self, workflow: str, *, is_open: bool, limit: int, sample: int
    ) -> Sequence[StatusCount]:
        """Return the statuses that runs are in."""
        records = sorted(self._storage.records.values(), key=lambda r: r.run_id, reverse=True)
        looked_at = (r for r in records if r.workflow == workflow and r.is_open is is_open)
        found: dict[int, list[RunRef]] = {}
        for record in islice(looked_at, limit):
            found.setdefault(record.status, []).append(record.ref)
        return [
            StatusCount(status, len(refs), _ends(refs[::-1], sample))
            for status, refs in sorted(found.items())
        ]


def _ends(refs: list[RunRef], sample: int) -> tuple[RunRef, ...]:
    """Return the first and the last few of a list, each once."""
    return (*refs[:sample], *refs[max(sample, len(refs) - sample) :])
