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
    async def postpone(self, rows: Sequence[tuple[QueueKey, QueueRow]]) -> None:
        """Replace each row of that key by the given row, if it is still there. Idempotent."""
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
    async def adopt(self, workflow: str, rows: Mapping[int, str], now: int) -> int:
        """Queue the runs that came into a status before it had a step; return how many.

        `rows` maps a status to the consumer of its step. Every run of the workflow in such a
        status, Initiated or Running with `next` "no_step", gets `next` "step" and a queue row due
        now, in one write. Idempotent, bounded to 1,000 runs a call: call until it returns 0.
        """
        ...
