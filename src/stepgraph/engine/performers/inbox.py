"""InboxPerformer: applies callbacks that came before their run."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from stepgraph.engine.callback import Callbacks, InboxBody, Listener, Message, is_waiting
from stepgraph.engine.handlers.row import Done, Move, Park, Performer
from stepgraph.model.instant import SECOND
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.ports.clock import Clock
from stepgraph.ports.record_store import RecordStore

_WAIT = 60 * SECOND
_decode = msgspec.json.Decoder(InboxBody).decode


class InboxPerformer(Performer):
    """Looks once a minute for the run, and at once when a run comes into a status that buffers.

    The answer and the end of the row are one write. There is no caller any more: an error of the
    function is retried, and what cannot be applied is parked.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        store: RecordStore,
        clock: Clock,
        *,
        listeners: tuple[Listener, ...],
        max_attempts: int,
    ) -> None:
        """Apply through `callbacks`."""
        self.max_attempts = max_attempts
        self._callbacks = callbacks
        self._store = store
        self._clock = clock
        self._listeners = listeners

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Apply the payload if its run waits now."""
        del record  # the row is about a foreign id, whose run may not exist yet
        body = _decode(row.body)
        listeners = [
            item
            for item in self._listeners
            if item.handler.name in body.names and item.handler.status.value == body.status
        ]
        message = Message(row.foreign_id, body.payload, None, body.key)
        found = await self._store.latest(row.workflow, row.foreign_id)
        if await self._callbacks.repeated(message, listeners) is not None:
            return None
        waiting: list[tuple[Listener, Any]] = [
            (item, self._callbacks.read(item, body.payload))
            for item in listeners
            if found is not None and is_waiting(item, found)
        ]
        if found is not None and waiting:
            receipt = await self._callbacks.ask(found, waiting, message, (row.key,))
            if receipt is not None:
                return None
            return Move(replace(row, due_at=self._clock.microseconds()))
        now = self._clock.microseconds()
        if now >= body.until:
            return Park("the run did not come to wait for this callback while it was kept")

        def still_waits(record: Record | None) -> bool:
            return record is None or not any(is_waiting(item, record) for item in listeners)

        return Move(replace(row, due_at=min(now + _WAIT, body.until)), still_waits=still_waits)
