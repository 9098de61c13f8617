"""Hints: tell other processes that there is work; losing every one costs latency only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol


class Hints(Protocol):
    """Wake-ups between the processes that share a record store."""

    @abstractmethod
    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` on the running loop whenever another process may have queued work.

        Runs in a task of the engine's: may return once it hears by itself, or listen until it is
        cancelled, which ends it before the backend is closed.
        """
        ...

    @abstractmethod
    async def tell(self) -> None:
        """Wake the other processes, best effort; called after a commit, throttled by the caller."""
        ...
