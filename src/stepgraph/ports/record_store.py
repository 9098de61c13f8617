"""RecordStore: holds runs, and is the only lock there is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record, RunRef
from stepgraph.model.record_filter import Page, RecordFilter
from stepgraph.model.write import Result, Write
from stepgraph.ports.capabilities import Capabilities


class RecordStore(Protocol):
    """Runs as records under compare-and-swap, with history and queue rows in the same write.

    Every method raises `UnavailableError` while the store is away; nothing happened then, except
    where `OutcomeUnknownError` (its subclass) says that a commit may have.
    """

    capabilities: Capabilities
    slot_count: int

    @abstractmethod
    async def commit(
        self, writes: Sequence[Write], finished: Sequence[QueueKey] = ()
    ) -> Sequence[Result]:
        """Write each of `writes` atomically, delete `finished` rows, and answer in order.

        Atomic is each write, not the call. The caller puts at most one write of a run, and at most
        one create of a (workflow, foreign id), into a call, and all writes of a call are creates
        or none is. The store answers `Committed` also where history shows that this very
        `write_id` won before, whatever the record is now. A create answers `Exists` for a run id
        that is there, `InProgress` while another open run has the (workflow, foreign id).
        `finished` keys that are not there are ignored.

        Raises `RefusedError` if a statement was refused: then nothing of the call happened, and
        the caller halves the batch until the culprit stands alone.
        """
        ...

    @abstractmethod
    async def lookup_many(self, refs: Sequence[RunRef]) -> Sequence[Record | None]:
        """Return the records now stored, in order, None where there is none; never stale."""
        ...

    @abstractmethod
    async def find(self, run_id: str) -> RunRef | None:
        """Return where a run is, by its id alone."""
        ...

    @abstractmethod
    async def latest(self, workflow: str, foreign_id: str) -> Record | None:
        """Return the open run of a foreign id, else the one triggered last (by run id)."""
        ...

    @abstractmethod
    async def list_records(self, record_filter: RecordFilter, page: Page) -> Sequence[Record]:
        """Return one page in the order of run ids; pages neither overlap nor skip."""
        ...

    @abstractmethod
    async def count(self, record_filter: RecordFilter, limit: int) -> int:
        """Return how many records fit, at most `limit`."""
        ...

    @abstractmethod
    async def find_unique(self, scope: str, key: str) -> bytes | None:
        """Return the body of a unique row, or None if the name is not taken."""
        ...
