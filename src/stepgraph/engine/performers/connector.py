"""ConnectorPerformer: hands one event of an outside stream to the user's function."""

from __future__ import annotations

from typing import Any

import msgspec

from stepgraph.engine.caller import Caller
from stepgraph.engine.event_key import keyed_by
from stepgraph.engine.handlers.row import Done, Performer
from stepgraph.engine.tracing import Tracing
from stepgraph.errors import InputError
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.ports.connector import ConnectorEvent
from stepgraph.ports.tracer import TracedCall

_decode = msgspec.json.Decoder(ConnectorEvent).decode


class ConnectorPerformer(Performer):
    """Calls at least once; triggers and callbacks made in the call use the event's id as key."""

    def __init__(
        self, caller: Caller, workflow: Any, max_attempts: int, tracing: Tracing | None
    ) -> None:
        """Call with `workflow`, through which the function triggers and calls back."""
        self.max_attempts = max_attempts
        self._caller = caller
        self._workflow = workflow
        self._tracing = tracing

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Hand the event over."""
        del record  # the event is about a foreign id, which may have no run yet
        if not row.body:
            raise InputError("the event was refused when it came: send it again from its source")
        event = _decode(row.body)
        with keyed_by(self._caller.name, event.id):
            if self._tracing is None:
                await self._caller.call(self._workflow, event)
                return None
            call = TracedCall(
                "connector",
                row.workflow,
                self._caller.name,
                process=f"{self._caller.name}-connector-to-{row.workflow}-consumer",
                attempt=row.attempt + 1,
                trace_parent=event.headers.get("traceparent", ""),
            )
            with self._tracing.span(call):
                await self._caller.call(self._workflow, event)
        return None
