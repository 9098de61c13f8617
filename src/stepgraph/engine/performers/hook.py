"""HookPerformer: tells one hook of one change."""

from __future__ import annotations

from typing import Any

import msgspec

from stepgraph.definition import Definition
from stepgraph.engine.announce import ChangeBody
from stepgraph.engine.caller import Caller
from stepgraph.engine.handlers.row import Done, Performer
from stepgraph.engine.snapshot import snapshot_of
from stepgraph.engine.tracing import Tracing
from stepgraph.model.change import Change
from stepgraph.model.history import HistoryRow
from stepgraph.model.instant import to_datetime
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.model.run_state import RunState
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.tracer import TracedCall

_decode = msgspec.json.Decoder(ChangeBody).decode


class HookPerformer(Performer):
    """Calls at least once; actor and reason are read from the history, where deletion finds them.

    The rows of one run come in the order of its versions.
    """

    def __init__(
        self,
        definition: Definition[Any, Any],
        caller: Caller,
        history: HistoryStore,
        max_attempts: int,
        tracing: Tracing | None,
    ) -> None:
        """Tell the hook that `caller` calls."""
        self.max_attempts = max_attempts
        self._definition = definition
        self._caller = caller
        self._history = history
        self._tracing = tracing

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Call the hook; a run that was pruned has nothing to tell."""
        if record is None:
            return None
        body = _decode(row.body)
        entry = await self._entry(record, row.version)
        change: Change[Any, Any] = Change(
            run=snapshot_of(self._definition, record),
            version=row.version,
            run_state=RunState(body.run_state),
            previous=RunState(body.previous),
            reason=entry.reason if entry is not None else "",
            actor=entry.actor if entry is not None else "",
            at=to_datetime(body.at),
        )
        if self._tracing is None:
            await self._caller.call(change)
            return None
        name = self._caller.name
        call = TracedCall(
            "hook", record.workflow, name, record.run_id, change.run.status.name,
            f"{name}-hook-consumer", row.attempt + 1, record.meta.trace_parent,
        )  # fmt: skip
        with self._tracing.span(call):
            await self._caller.call(change)
        return None

    async def _entry(self, record: Record, version: int) -> HistoryRow | None:
        rows = await self._history.history(record.run_id)
        return next((entry for entry in rows if entry.version == version), None)
