"""make_child: a child for calling one of your joins directly, without any workflow."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from msgspec.structs import replace

from stepgraph.errors import RunNotFoundError
from stepgraph.model.child import Child
from stepgraph.model.child_row import ChildRow
from stepgraph.model.run import Snapshot
from stepgraph.model.run_state import RunState
from stepgraph.testing.make_run import make_record


def make_child(
    foreign_id: str,
    status: IntEnum,
    *,
    run_state: RunState = RunState.COMPLETED,
    initial: object = None,
    in_use_by: str = "",
) -> Child:
    """Return a child that ended in `status`; its `snapshot()` has `initial` as its object.

    `await all_there(make_run(Order(), Status.SPLIT), [make_child("a", ParcelStatus.DELIVERED)])`. A
    child of `run_state` UNKNOWN never began, and cannot be loaded.
    """
    record = make_record(status, foreign_id=foreign_id)
    row = ChildRow(
        record.run_id, "run-of-test", 1, 1, "test", foreign_id, status.value,
        run_state=int(run_state), is_open=run_state.is_open, in_use_by=in_use_by,
    )  # fmt: skip

    async def load(row: ChildRow) -> Snapshot[Any, Any]:
        if row.run_state == RunState.UNKNOWN:
            raise RunNotFoundError(row.run_id)
        return Snapshot(replace(record, run_state=int(run_state)), status, initial)

    return Child(row, status, load)
