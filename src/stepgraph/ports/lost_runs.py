"""LostRuns: finds runs whose announcement got lost on its way through a foreign stream."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stepgraph.model.record import Record


class LostQuery(NamedTuple):
    """Which runs count as lost: `due_before` is an instant."""

    workflow: str
    status: int
    slots: tuple[int, ...]
    slot_count: int
    due_before: int


class LostRuns(Protocol):
    """The reconciler's question."""

    @abstractmethod
    async def list_lost(self, query: LostQuery, limit: int) -> Sequence[Record]:
        """Return runs that were announced over a foreign stream and have not moved since.

        A run counts if it is Initiated or Running, announced, its `next` is step, delay or retry,
        and its `due_at` is before `due_before`; the one that waits longest first.
        """
        ...
