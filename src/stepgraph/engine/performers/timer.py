"""TimersPerformer: finds out when a timer is due that only code can tell."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from msgspec.structs import replace

from stepgraph.definition import Definition, TimeoutHandler
from stepgraph.engine.announce import put_off, timer_name
from stepgraph.engine.handlers.row import Done, Move, Performer
from stepgraph.engine.snapshot import snapshot_of
from stepgraph.engine.threads import Threads
from stepgraph.engine.transition import Transition
from stepgraph.errors import DefinitionError
from stepgraph.model.instant import SECOND, due_after
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.ports.clock import Clock

_WAIT = 60 * SECOND


class TimersPerformer(Performer):
    """Calls `after=` with the run as it came in, and turns the row into one that is due then.

    A call that is repeated gives the same row again if the function gives the same time: the row
    is replaced, never added.
    """

    def __init__(
        self,
        definition: Definition[Any, Any],
        transitions: dict[str, tuple[TimeoutHandler[Any], Transition]],
        *,
        consumer: str,
        threads: Threads,
        clock: Clock,
        max_attempts: int,
    ) -> None:
        """Make rows for `consumer`; `transitions` are the status's timeouts by their name."""
        self.max_attempts = max_attempts
        self._definition = definition
        self._transitions = transitions
        self._consumer = consumer
        self._threads = threads
        self._clock = clock

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Return the timer's row, or None where the function wants no timer."""
        found = self._transitions.get(timer_name(row))
        if found is None or record is None or not is_visit(record, row):
            return None
        handler = found[0]
        due_at = await self._due_at(handler, record)
        if due_at is None:
            return None
        return Move(replace(row, consumer=self._consumer, due_at=due_at, attempt=0))

    async def _due_at(self, handler: TimeoutHandler[Any], record: Record) -> int | None:
        when: Any = handler.after
        if callable(when):
            when = await self._call(when, record)
        if when is None:
            return None
        if isinstance(when, int):
            return when
        if isinstance(when, timedelta | datetime):
            try:
                return due_after(record.entered_at, when, self._clock.microseconds())
            except ValueError as error:
                text = f"after= of {handler.name}() gave {when!r}: {error}"
                raise DefinitionError(text) from error
        raise DefinitionError(
            f"after= of {handler.name}() gave {when!r}: a timedelta, an aware datetime or None"
        )

    async def _call(self, function: Callable[..., Any], record: Record) -> Any:
        snapshot = snapshot_of(self._definition, record)
        if inspect.iscoroutinefunction(function):
            return await function(snapshot)
        answer = await self._threads.call(partial(function, snapshot))
        return await answer if inspect.isawaitable(answer) else answer

    def give_up(self, row: QueueRow, record: Record | None, error: BaseException) -> Done:
        """Hold the run; the row waits, and is worked on afresh when the run is resumed."""
        return held(self._transitions, self._clock.microseconds(), row, record, error)


def is_visit(record: Record, row: QueueRow) -> bool:
    """Return whether the run is still in the visit that the row is about."""
    return record.entered_version == row.version and 1 <= record.run_state <= 3


def held(
    transitions: dict[str, tuple[TimeoutHandler[Any], Transition]],
    now: int,
    row: QueueRow,
    record: Record | None,
    error: BaseException,
) -> Done:
    """Return the write that pauses a run for its failing timeout; its row stays for the resume."""
    found = transitions.get(timer_name(row))
    if found is None or record is None or not is_visit(record, row) or record.run_state == 3:
        return Move(put_off(row, now + _WAIT))
    write = found[1].paused(record, error, row.attempt)
    later = put_off(row, now + _WAIT)
    return replace(write, enqueue=(*write.enqueue, later), finished=(row.key,))
