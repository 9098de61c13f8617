"""Child: one of a run's children as the run's join function is given it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, final

from stepgraph.model.child_row import ChildRow
from stepgraph.model.run import Snapshot
from stepgraph.model.run_state import RunState

Load: TypeAlias = Callable[[ChildRow], Awaitable[Snapshot[Any, Any]]]


@final
class Child:
    """What is known of a child without loading it: ten thousand of them are no burden."""

    __slots__ = ("_load", "_row", "_status")

    def __init__(self, row: ChildRow, status: Any, load: Load) -> None:
        """Show `row`, with its status in the child's type if that is known here."""
        self._row = row
        self._status = status
        self._load = load

    @property
    def id(self) -> str:
        """The run id that `trigger_child` returned."""
        return self._row.run_id

    @property
    def foreign_id(self) -> str:
        """What the child is about."""
        return self._row.foreign_id

    @property
    def workflow_name(self) -> str:
        """The workflow that the child belongs to."""
        return self._row.workflow

    @property
    def status(self) -> Any:
        """Where the child ended, or is if it is open.

        A member of its workflow's enum where that workflow is open in this process, else the
        number, which equals it.
        """
        return self._status

    @property
    def run_state(self) -> RunState:
        """COMPLETED or CANCELLED; UNKNOWN for a child that never began; open for `until="any"`."""
        return RunState(self._row.run_state)

    @property
    def in_use_by(self) -> str:
        """The id of the run that had the foreign id, where that kept the child from beginning."""
        return self._row.in_use_by

    async def snapshot(self) -> Snapshot[Any, Any]:
        """Load the child with its object, as it is now.

        Raises `RunNotFoundError` for a child that never began or was pruned, and `NotOpenError` if
        its workflow is not open in this process: a `client()` is enough.
        """
        return await self._load(self._row)

    def __repr__(self) -> str:
        """Name the child and how it ended."""
        status = getattr(self._status, "name", self._status)
        return f"<Child {self.id} of {self.foreign_id!r}: {status}, {self.run_state.name}>"
