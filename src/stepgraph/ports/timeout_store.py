"""TimeoutStore: keeps timeouts until they are due."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.timeout import Timeout, TimeoutKey
from stepgraph.ports.capabilities import Capabilities


class TimeoutStore(Protocol):
    """Timers by (run, visit, name)."""

    capabilities: Capabilities

    @abstractmethod
    async def create(self, timeouts: Sequence[Timeout]) -> None:
        """Keep these; a key that is or was there is left as it is: the first wins."""
        ...

    @abstractmethod
    async def list_due(
        self, workflow: str, slots: Sequence[int], now: int, limit: int
    ) -> Sequence[Timeout]:
        """Return pending timeouts with `due_at <= now` of these slots, oldest first."""
        ...

    @abstractmethod
    async def next_due(self, workflow: str, slots: Sequence[int]) -> int | None:
        """Return the earliest `due_at` that is pending, or None."""
        ...

    @abstractmethod
    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """End these for good, kept or cancelled: they are never due again. Unknown: ignored."""
        ...

    @abstractmethod
    async def postpone(self, timeouts: Sequence[Timeout]) -> None:
        """Give these pending timeouts the `due_at` and `attempt` that they now carry."""
        ...

    @abstractmethod
    async def list_timeouts(self, run_id: str) -> Sequence[Timeout]:
        """Return the pending timeouts of a run, by `due_at`."""
        ...
