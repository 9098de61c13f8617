"""RetentionStore: forgets what is older than it is kept, a bounded batch at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stepgraph.model.tombstone import Tombstone


class Position(NamedTuple):
    """Where a batch ended: the next one looks at what comes after it."""

    at: int
    id: str


START = Position(0, "")


class PruneQuery(NamedTuple):
    """What to prune of a workflow: what is older than the instant `before`, `limit` at most."""

    workflow: str
    before: int
    after: Position
    limit: int


class Pruned(NamedTuple):
    """How many were deleted, and where to go on; None when there is nothing further."""

    deleted: int
    after: Position | None


class RetentionStore(Protocol):
    """Deletes old runs, history and keys.

    Every method is one short transaction that looks at `limit` things at most, so that writers
    wait for one batch and never for all of them. All may be repeated.
    """

    @abstractmethod
    async def prune_runs(self, query: PruneQuery, key_retention: int) -> Pruned:
        """Delete runs that ended before `before`, each with its history, in one write.

        Passed over is a run that is open, whose data is being deleted, whose parent is open, or
        that a queue row or a dead letter is about (rows of its steps, whose id is the run's, and
        announcements of them do not count: they mean nothing once it has ended). A run that was
        created under a key leaves a tombstone in the same write, until `key_retention`
        microseconds after its end: a create of its id is answered with `Exists` from then on.
        """
        ...

    @abstractmethod
    async def prune_history(self, query: PruneQuery) -> Pruned:
        """Delete versions and attempts from before `before`, of open and ended runs.

        The newest version of a run always stays. What stays begins at one version and has no gap
        after it; that first one gets its object if it was left out for being as before. `limit`
        and the position count runs.
        """
        ...

    @abstractmethod
    async def prune_keys(self, query: PruneQuery, now: int) -> int:
        """Delete unique names taken before `before`, and tombstones past their `until`.

        Returns how many; fewer than `limit` means that none is left. `query.after` is not used.
        """
        ...

    @abstractmethod
    async def tombstones(self, run_ids: Sequence[str]) -> Sequence[Tombstone | None]:
        """Return what stays of pruned runs, in order; None for one that is there, or never was.

        This is what whoever waits for a run asks when the record store does not know it any more.
        """
        ...
