"""Children: the children of a run as its join function is given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from stepgraph.definition import Definition
from stepgraph.engine.snapshot import snapshot_of
from stepgraph.errors import NotOpenError, RunNotFoundError
from stepgraph.model.child import Child
from stepgraph.model.child_row import ChildRow
from stepgraph.model.record import Record, RunRef
from stepgraph.model.run import Snapshot
from stepgraph.ports.child_store import ChildStore
from stepgraph.ports.record_store import RecordStore

_PAGE = 1000


class Children:
    """Reads child rows; an object is loaded only when it is asked for."""

    def __init__(
        self,
        children: ChildStore,
        store: RecordStore,
        definitions: Mapping[str, Definition[Any, Any]],
    ) -> None:
        """Read from one backend; `definitions` are those that are open in this process."""
        self._children = children
        self._store = store
        self._definitions = definitions

    async def waiting(self, record: Record) -> list[Child]:
        """Return the children of a run that no join was given yet, in their order."""
        rows: list[ChildRow] = []
        while True:
            after = rows[-1].place if rows else None
            page = await self._children.list_children(
                record.run_id, after, _PAGE, only_waiting=True
            )
            rows += await self._present(page)
            if len(page) < _PAGE:
                return [Child(row, self._status_of(row), self._load) for row in rows]

    async def _present(self, rows: Sequence[ChildRow]) -> list[ChildRow]:
        """Return rows with what their open children are now: only a join of any sees such."""
        open_rows = [row for row in rows if row.is_open]
        if not open_rows:
            return list(rows)
        records = await self._store.lookup_many([_ref_of(row) for row in open_rows])
        now = {record.run_id: record for record in records if record is not None}
        return [
            replace(row, status=now[row.run_id].status, run_state=now[row.run_id].run_state)
            if row.is_open and row.run_id in now
            else row
            for row in rows
        ]

    def _status_of(self, row: ChildRow) -> Any:
        definition = self._definitions.get(row.workflow)
        if definition is None:
            return row.status
        try:
            return definition.status_type(row.status)
        except ValueError:
            return row.status

    async def _load(self, row: ChildRow) -> Snapshot[Any, Any]:
        definition = self._definitions.get(row.workflow)
        if definition is None:
            raise NotOpenError(
                f"the child {row.run_id} belongs to {row.workflow!r}, which is not open in this"
                f" process: use {row.workflow!r} inside `async with workflow:`, or"
                " `async with workflow.client():` where no steps should run"
            )
        (record,) = await self._store.lookup_many([_ref_of(row)])
        if record is None:
            raise RunNotFoundError(row.run_id)
        return snapshot_of(definition, record)


def _ref_of(row: ChildRow) -> RunRef:
    return RunRef(row.workflow, row.foreign_id, row.run_id)
