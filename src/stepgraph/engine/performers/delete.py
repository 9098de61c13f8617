"""DeletePerformer: deletes a run's data wherever it is stored, on request."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepgraph.definition import Definition
from stepgraph.engine.handlers.row import Done, Move, Performer
from stepgraph.engine.moves import By, Moves
from stepgraph.engine.snapshot import DELETED_DATA
from stepgraph.model.instant import SECOND
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.model.run_state import RunState
from stepgraph.model.topic import spawn_consumer
from stepgraph.ports.child_store import ChildStore
from stepgraph.ports.clock import Clock
from stepgraph.ports.history_store import HistoryStore

_AGAIN_AFTER = 60 * SECOND
_BY = By("delete", "delete")


class DeletePerformer(Performer):
    """First the record, then what is about it, and a minute later once more.

    The minute is longer than any call that was on its way may take: nobody writes back what was
    blanked. Each part may be repeated.
    """

    def __init__(
        self,
        definition: Definition[Any, Any],
        moves: Moves,
        stores: tuple[HistoryStore, ChildStore],
        clock: Clock,
        *,
        max_attempts: int,
    ) -> None:
        """Delete for one workflow."""
        self.max_attempts = max_attempts
        self._definition = definition
        self._moves = moves
        self._history, self._children = stores
        self._clock = clock

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Do the next part of the deletion."""
        if record is None or record.run_state != RunState.REQUESTED_DATA_DELETED:
            return None
        if row.body == b"":
            data = self._blank(record)
            write = self._moves.scrubbed(record, data, _BY, is_last=False, finished=(row.key,))
            due_at = self._clock.microseconds()
            follow = replace(row, body=b"texts", due_at=due_at, version=write.record.version)
            return replace(write, enqueue=(*write.enqueue, follow))
        await self._history.scrub(record.ref)
        # Children that did not begin yet wait with their objects in the run's rows.
        consumer = spawn_consumer(record.workflow)
        await self._children.scrub_staged(consumer, row.slot, record.run_id)
        if row.body == b"texts":
            due_at = self._clock.microseconds() + _AGAIN_AFTER
            return Move(replace(row, body=b"again", due_at=due_at, attempt=0))
        data = record.object
        return self._moves.scrubbed(record, data, _BY, is_last=True, finished=(row.key,))

    def _blank(self, record: Record) -> bytes:
        """Return what stays of the object."""
        definition = self._definition
        if definition.custom_delete is None or record.object == DELETED_DATA:
            return DELETED_DATA
        value = definition.codec.decode(record.object, definition.object_type)
        return definition.codec.encode(definition.custom_delete(value))
