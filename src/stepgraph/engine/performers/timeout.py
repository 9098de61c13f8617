"""TimeoutPerformer: calls a timeout function when its time has come and the run is still there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from stepgraph.definition import TimeoutHandler
from stepgraph.engine.announce import put_off, timer_name
from stepgraph.engine.handlers.row import Done, Move, Performer
from stepgraph.engine.performers.timer import held, is_visit
from stepgraph.engine.tracing import Tracing, answering
from stepgraph.engine.transition import Transition
from stepgraph.model.fact import EventSkipped, Fact, TimerFired
from stepgraph.model.instant import SECOND, to_microseconds
from stepgraph.model.outcome import Pause, Repeat
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.model.run_state import RunState
from stepgraph.ports.clock import Clock

_FIRST_WAIT, _LAST_WAIT = 60 * SECOND, 600 * SECOND
_LEFT = "record status not in expected state"


class TimeoutPerformer(Performer):
    """A timer belongs to one entry into its status: what left that entry is dropped.

    While the run is paused its timers are put off, 1, 2, 4 and up to 10 minutes; a resume pulls
    them back. Failures count on the timer's own row, so that a step of the same run keeps its own.
    """

    def __init__(
        self,
        transitions: dict[str, tuple[TimeoutHandler[Any], Transition]],
        *,
        clock: Clock,
        max_attempts: int,
        process: str,
        observe: Callable[[Fact], None] | None,
        tracing: Tracing | None,
    ) -> None:
        """Call the timeouts of one status, by their name."""
        self.max_attempts = max_attempts
        self._transitions = transitions
        self._clock = clock
        self._process = process
        self._observe = observe
        self._tracing = tracing

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Call the function if the run still waits for it."""
        name = timer_name(row)
        found = self._transitions.get(name)
        if found is None or record is None or not is_visit(record, row):
            self._skip(row, "record not found" if record is None else _LEFT)
            return None
        now = self._clock.microseconds()
        if record.run_state == RunState.PAUSED:
            wait = min(_LAST_WAIT, max(_FIRST_WAIT, 2 * (now - record.updated_at)))
            return Move(put_off(row, now + wait), still_waits=_is_paused)
        if self._observe is not None:
            self._observe(TimerFired(record.workflow, name, max(0, now - row.due_at) / SECOND))
        call = found[1].call
        attempt = row.attempt + 1
        with answering(self._tracing, call, record, self._process, attempt) as ending:
            write, answer = await found[1].answer(record, finished=(row.key,))
            ending.wrote(call, write, "Skip")
        if write is not None and isinstance(answer, Pause):
            # As a step is: asked again when the run is resumed.
            later = put_off(row, now + _FIRST_WAIT)
            return replace(write, enqueue=(*write.enqueue, later))
        if write is not None and isinstance(answer, Repeat):
            again = replace(row, due_at=now + to_microseconds(answer.after), attempt=0)
            return replace(write, enqueue=(*write.enqueue, again))
        return write

    def _skip(self, row: QueueRow, reason: str) -> None:
        if self._observe is not None:
            self._observe(EventSkipped(row.workflow, self._process, reason))

    def give_up(self, row: QueueRow, record: Record | None, error: BaseException) -> Done:
        """Hold the run; the row waits, and is worked on afresh when the run is resumed."""
        return held(self._transitions, self._clock.microseconds(), row, record, error)


def _is_paused(record: Record | None) -> bool:
    return record is not None and record.run_state == RunState.PAUSED
