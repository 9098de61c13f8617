"""Census: how the runs of a workflow are spread over its statuses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.status_count import StatusCount


class Census(Protocol):
    """Counts runs by whatever status they are in, whether any code knows it or not."""

    @abstractmethod
    async def count_by_status(
        self, workflow: str, *, is_open: bool, limit: int, sample: int
    ) -> Sequence[StatusCount]:
        """Return the statuses that runs are in, by number, with the count of each.

        Looks at the open runs, or at those that have ended, and at `limit` of them at most: the
        newest if they have ended, else whichever the store finds first. So the counts are exact
        while there are no more, and what it costs is bounded on any store. Each count names its
        `sample` oldest and `sample` newest runs, each once, oldest first.
        """
        ...
