"""MemoryHints: wake-ups between twins of one memory backend."""

from __future__ import annotations

from collections.abc import Callable

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.ports.hints import Hints


class MemoryHints(Hints):
    """Calls the other twins' wake functions."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a twin has queued work."""
        self._storage.listeners[id(self)] = wake

    def stop(self) -> None:
        """Listen no more."""
        self._storage.listeners.pop(id(self), None)

    async def tell(self) -> None:
        """Wake the twins."""
        for listener, wake in list(self._storage.listeners.items()):
            if listener != id(self):
                wake()
