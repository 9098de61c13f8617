"""DefinitionStore: what workflows look like, for whoever acts on their runs without their code."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class StoredBody(NamedTuple):
    """One release of a workflow: its fingerprint, and what its definition says, as JSON.

    `started_by` is the instance that started it last, `started_at` when, and `first_started_at`
    when any instance did first; the store fills in the instants.
    """

    fingerprint: str
    body: bytes
    started_by: str = ""
    started_at: int = 0
    first_started_at: int = 0


class DefinitionStore(Protocol):
    """One row for each workflow and fingerprint, beside the runs; nothing here is hot."""

    @abstractmethod
    async def keep(self, workflow: str, stored: StoredBody, now: int) -> None:
        """Make this the newest definition of a workflow, in one write.

        A fingerprint that is there gets this body and starter and keeps its `first_started_at`.
        `started_at` becomes `now`, or later if that is what it takes to be the newest: the clocks
        of two machines may differ.
        """
        ...

    @abstractmethod
    async def newest(self, workflow: str) -> StoredBody | None:
        """Return the definition that was kept last, or None if the workflow was never started."""
        ...

    @abstractmethod
    async def list_definitions(self, workflow: str, limit: int) -> Sequence[StoredBody]:
        """Return up to `limit` definitions of a workflow, the newest first."""
        ...

    @abstractmethod
    async def list_workflows(self) -> Sequence[str]:
        """Return the names of all workflows that were ever started on this store, sorted."""
        ...
