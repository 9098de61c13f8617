"""Planner: from the slot of a schedule to the run that it triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from stepgraph.definition import Definition, ScheduleHandler
from stepgraph.engine.caller import Caller
from stepgraph.engine.tracing import Tracing
from stepgraph.engine.trigger import Wish
from stepgraph.errors import InputError
from stepgraph.model.instant import to_datetime
from stepgraph.model.schedule import Schedule
from stepgraph.model.write import Write
from stepgraph.ports.tracer import TracedCall


class Planner:
    """From a slot to the run that it triggers."""

    def __init__(
        self,
        definition: Definition[Any, Any],
        callers: Mapping[str, Caller],
        create: Callable[[Wish, str], Write],
        tracing: Tracing | None,
    ) -> None:
        """Ask the declared functions through `callers`; `create` makes the write of a run."""
        self._tracing = tracing
        self._definition = definition
        self._handlers = {handler.name: handler for handler in definition.schedules}
        self._callers = callers
        self._create = create

    async def write(self, schedule: Schedule, instant: int, key: str | None) -> Write | None:
        """Return the write of the run at an instant, None if the function answers None.

        The run belongs to a trace of its own, of which the slot is the first span. Raises
        `InputError` for a schedule that is declared by other code than this.
        """
        if self._tracing is None:
            return await self._write(schedule, instant, key)
        call = TracedCall("schedule", schedule.workflow, schedule.name)
        with self._tracing.span(call) as ending:
            write = await self._write(schedule, instant, key)
            ending.outcome = "skipped: filter" if write is None else "planned"
            ending.run_id = "" if write is None else write.record.run_id
            return write

    async def _write(self, schedule: Schedule, instant: int, key: str | None) -> Write | None:
        if not schedule.is_declared:
            definition = self._definition
            initial = definition.codec.decode(schedule.object, definition.object_type)
            return self._of(schedule, schedule.foreign_id, initial, None, key)
        handler = self._handlers.get(schedule.name)
        if handler is None:
            raise InputError(f"the schedule {schedule.name!r} is declared by other code than this")
        slot = to_datetime(instant).astimezone(ZoneInfo(schedule.zone))
        initial = await self._callers[schedule.name].call(slot)
        if initial is None:
            return None
        return self._of(schedule, _foreign_id(handler, slot), initial, handler.status, key)

    def _of(
        self, schedule: Schedule, foreign_id: Any, initial: Any, status: Any, key: str | None
    ) -> Write:
        return self._create(
            Wish(foreign_id, initial, status, key, None), f"schedule {schedule.name}"
        )


def _foreign_id(handler: ScheduleHandler, slot: datetime) -> str:
    return handler.foreign_id(slot) if callable(handler.foreign_id) else handler.foreign_id
