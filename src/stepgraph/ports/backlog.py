"""Backlog: how much waits in a record store's queue."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable


class Waiting(NamedTuple):
    """Rows of one slot: due, and given up on."""

    due: int
    parked: int


Waits: TypeAlias = Mapping[tuple[str, int], Waiting]


class Backlog(Protocol):
    """Counts for people, never for decisions."""

    @abstractmethod
    async def count(self, consumers: Mapping[str, Sequence[int]], now: int, limit: int) -> Waits:
        """Return what waits, by (consumer, slot); where nothing does there is no entry.

        Due are rows with `due_at <= now`. Counting stops at `limit` rows of each kind in each
        slot: the cost is bounded whatever is stored. One statement.
        """
        ...


@runtime_checkable
class HasBacklog(Protocol):
    """A record store's backend that can count; one that cannot goes without these figures."""

    @property
    def backlog(self) -> Backlog:
        """The counts."""
        ...
