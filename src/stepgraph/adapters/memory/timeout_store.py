"""MemoryTimeoutStore: timers in a dictionary; what ended is remembered as ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from stepgraph.model.timeout import Timeout, TimeoutKey
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.timeout_store import TimeoutStore


class MemoryTimeoutStore(TimeoutStore):
    """Timers of this process."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._timeouts: dict[TimeoutKey, Timeout] = {}
        self._ended: set[TimeoutKey] = set()

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        """Keep these; the first of a key wins."""
        for timeout in timeouts:
            if timeout.key not in self._ended:
                self._timeouts.setdefault(timeout.key, timeout)

    async def list_due(
        self, workflow: str, slots: Sequence[int], now: int, limit: int
    ) -> Sequence[Timeout]:
        """Return pending timeouts that are due, oldest first."""
        due = [t for t in self._pending(workflow, slots) if t.due_at <= now]
        return sorted(due, key=lambda t: (t.due_at, t.run_id, t.name))[:limit]

    async def next_due(self, workflow: str, slots: Sequence[int]) -> int | None:
        """Return the earliest pending due instant."""
        return min((t.due_at for t in self._pending(workflow, slots)), default=None)

    def _pending(self, workflow: str, slots: Sequence[int]) -> Iterable[Timeout]:
        return [t for t in self._timeouts.values() if t.workflow == workflow and t.slot in slots]

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """End these for good."""
        for key in keys:
            if self._timeouts.pop(key, None) is not None:
                self._ended.add(key)

    async def postpone(self, timeouts: Sequence[Timeout]) -> None:
        """Give pending timeouts the due instant that they now carry."""
        for timeout in timeouts:
            stored = self._timeouts.get(timeout.key)
            if stored is not None:
                later = replace(stored, due_at=timeout.due_at, attempt=timeout.attempt)
                self._timeouts[timeout.key] = later

    async def list_timeouts(self, run_id: str) -> Sequence[Timeout]:
        """Return the pending timeouts of a run."""
        found = [t for t in self._timeouts.values() if t.run_id == run_id]
        return sorted(found, key=lambda t: (t.due_at, t.name))
