"""HistoryStore: what happened to runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.history import HistoryRow


class HistoryStore(Protocol):
    """Reads the history that commits wrote."""

    @abstractmethod
    async def history(self, run_id: str) -> Sequence[HistoryRow]:
        """Return every committed version of a run, oldest first; empty for an unknown run."""
        ...

    @abstractmethod
    async def attempts(self, run_id: str) -> Sequence[HistoryRow]:
        """Return every row of a run that tells of a failure, oldest first."""
        ...
