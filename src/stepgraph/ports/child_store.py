"""ChildStore: whose children ended, and whose are still open."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.child_row import ChildEnd, ChildPlace, ChildProgress, ChildRow


class ChildStore(Protocol):
    """Reads and marks the child rows that commits of the record store wrote.

    A write inserts its `children` only if it wins; a child that is there already stays as it is.
    A write that `takes_children` marks, before it inserts its own, every child of its run that no
    write took before as taken by its version.

    Every method raises `UnavailableError` while the store is away; after `OutcomeUnknownError`
    (its subclass) a call is repeated. All of them may be repeated.
    """

    @abstractmethod
    async def end(self, ends: Sequence[ChildEnd]) -> None:
        """Remember how children ended; of several ends of one child the first stays.

        When it returns, the ends are seen by every `progress` that begins afterwards, in any
        process: of two who end the last two children and ask then, at least one is told so.
        Unknown ids are ignored.
        """
        ...

    @abstractmethod
    async def progress(self, parent_run_ids: Sequence[str]) -> Sequence[ChildProgress]:
        """Say for each run, in order, whether children that nobody took are open, or ended.

        Reads what is stored now, never a snapshot that an `end` of the caller began with.
        """
        ...

    @abstractmethod
    async def find_children(self, run_ids: Sequence[str]) -> Sequence[ChildRow | None]:
        """Return children by their own ids, in order, None where there is none; never stale."""
        ...

    @abstractmethod
    async def list_children(
        self, parent_run_id: str, after: ChildPlace | None, limit: int, *, only_waiting: bool
    ) -> Sequence[ChildRow]:
        """Return the children of a run behind `after`, in the order of their places.

        With `only_waiting` those that no join was given yet.
        """
        ...

    @abstractmethod
    async def scrub_staged(self, consumer: str, slot: int, run_id: str) -> None:
        """Empty the bodies of a run's rows of `consumer` in the queue and the dead letters.

        They hold the objects of children that did not begin yet. For good.
        """
        ...
