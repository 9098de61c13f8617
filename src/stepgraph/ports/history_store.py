"""HistoryStore: what happened to runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.history import HistoryRow
from stepgraph.model.record import RunRef


class HistoryStore(Protocol):
    """Reads the history that commits wrote, and forgets what it says about people."""

    @abstractmethod
    async def history(self, run_id: str) -> Sequence[HistoryRow]:
        """Return every committed version of a run, oldest first; empty for an unknown run."""
        ...

    @abstractmethod
    async def attempts(self, run_id: str) -> Sequence[HistoryRow]:
        """Return every row of a run that tells of a failure, oldest first."""
        ...

    @abstractmethod
    async def scrub(self, run: RunRef) -> None:
        """Blank what is stored about a run outside its record, for good. Idempotent.

        Objects, reasons, and the texts of failures in its history; the errors of its dead letters.
        Queue rows and dead letters of its foreign id that belong to no run (payloads and outside
        events that came for it) are deleted, unless another run of the foreign id is open: they
        are that run's then. What happened, when and by whom stays.
        """
        ...
