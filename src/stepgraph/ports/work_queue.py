"""WorkQueue: the queue rows of a record store, as their consumers read them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from stepgraph.model.queue import ParkedRow, QueueKey, QueueRow, Want


class WorkQueue(Protocol):
    """Reads due rows. Nobody claims or locks one: the role is the claim, the commit the safety."""

    @abstractmethod
    async def due(self, wants: Sequence[Want], now: int) -> Sequence[QueueRow]:
        """Return rows with `due_at <= now`, oldest first within each (consumer, slot).
        Each want gets at most its `limit` rows, shared among its slots so that none starves.
        A row that was inserted before others and committed after them is seen by any later call
        whose `after` is not above its `due_at`.
        """
        ...

    @abstractmethod
    async def next_due(self, consumers: Mapping[str, Sequence[int]]) -> Mapping[str, int]:
        """Return the earliest `due_at` among the slots of each consumer that has a row at all."""
        ...

    @abstractmethod
    async def put(self, rows: Sequence[tuple[QueueKey | None, QueueRow]]) -> None:
        """Insert each row; where a key is given, in place of its row and only if that is there.

        Idempotent: a row with a primary key that is taken replaces that row.
        """
        ...

    @abstractmethod
    async def park(self, rows: Sequence[QueueRow], error: str, now: int) -> None:
        """Move rows out of the queue into the dead letters. Idempotent."""
        ...

    @abstractmethod
    async def list_parked(self, consumer: str | None, limit: int) -> Sequence[ParkedRow]:
        """Return parked rows, oldest first, of one consumer or of all."""
        ...

    @abstractmethod
    async def drive(self, keys: Sequence[QueueKey], now: int) -> int:
        """Put parked rows back into the queue, due now with attempt 0; return how many."""
        ...

    @abstractmethod
    async def discard(self, keys: Sequence[QueueKey]) -> int:
        """Delete parked rows for good; return how many."""
        ...
