"""LostRuns: finds runs that nothing works on: their announcement got lost, or there was no step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
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
    """The reconciler's questions."""

    @abstractmethod
    async def list_lost(self, query: LostQuery, limit: int) -> Sequence[Record]:
        """Return runs that were announced over a foreign stream and have not moved since.

        A run counts if it is Initiated or Running, announced, its `next` is step, delay or retry,
        and its `due_at` is before `due_before`; the one that waits longest first.
        """
        ...

    @abstractmethod
    async def adopt(self, workflow: str, rows: Mapping[int, str], now: int) -> int:
        """Queue the runs that came into a status before it had a step; return how many.

        `rows` maps a status to the consumer of its step. Every run of the workflow in such a
        status, Initiated or Running with `next` "no_step", gets `next` "step" and a queue row due
        now, in one write. Idempotent, bounded to 1,000 runs a call: call until it returns 0.
        """
        ...
