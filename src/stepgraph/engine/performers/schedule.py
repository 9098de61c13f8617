"""SchedulePerformer: decides what becomes of a slot, exactly once, and goes on to the next."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from stepgraph.engine.commit import Committer
from stepgraph.engine.handlers.row import Done, Move, Performer
from stepgraph.engine.timetable import WATCH, SlotBody, Timetable, WatchBody
from stepgraph.errors import UnavailableError
from stepgraph.model.instant import SECOND
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.model.schedule import Decision, Schedule, SlotDecision
from stepgraph.model.topic import schedule_consumer
from stepgraph.model.write import Committed, Exists, InProgress, Refused
from stepgraph.ports.clock import Clock

_GRACE = 60 * SECOND
_PAUSED = 600 * SECOND
_FIRST_WAIT, _LAST_WAIT = SECOND, 60 * SECOND
_RETIRE_AFTER = 600 * SECOND
_decode: Callable[[bytes], SlotBody | WatchBody] = msgspec.json.Decoder(SlotBody | WatchBody).decode


class SchedulePerformer(Performer):
    """Decide, note, go on: each part may be repeated, and whoever comes next begins where one died.

    The run and the decision "triggered" are one write; a skip takes the same unique name. The row
    moves to the next slot only after the decision is stored, so no slot is passed over. An error
    of the function is retried for ever, by `catch_up` "latest" and "none" until the slot is missed.
    """

    max_attempts = 0

    def __init__(
        self,
        timetable: Timetable,
        committer: Committer,
        clock: Clock,
        is_anybody_able: Callable[[str], bool],
    ) -> None:
        """Decide for `timetable`; `is_anybody_able` tells whether a consumer can be run at all."""
        self._timetable = timetable
        self._committer = committer
        self._clock = clock
        self._is_anybody_able = is_anybody_able

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Decide the slot that the row waits for, if it is the next one and its time has come."""
        del record  # the row is about a slot, whose run does not exist yet
        body = _decode(row.body)
        schedule = await self._timetable.find(body.name, body.fingerprint)
        if schedule is None or schedule.next_slot is None:
            return None
        if isinstance(body, WatchBody):
            return await self._watch(row, body, schedule)
        slot, now = schedule.next_slot, self._clock.microseconds()
        if body.slot != slot or now < schedule.due_at(slot):
            return Move(self._timetable.row(schedule))
        if schedule.is_paused:
            return Move(replace(row, due_at=now + _PAUSED, attempt=0))
        decision = await self._timetable.decided(schedule, slot)
        if decision is None:
            decision = await self._decide(schedule, slot, now)
        if decision is None:
            wait = min(_LAST_WAIT, max(_FIRST_WAIT, now - schedule.due_at(slot)))
            return Move(replace(row, due_at=now + wait, attempt=0))
        noted = await self._timetable.note(schedule, decision)
        if noted is None or noted.next_slot is None:
            return None
        return Move(self._timetable.row(noted))

    async def _decide(self, schedule: Schedule, slot: int, now: int) -> SlotDecision | None:
        """Return the decision that stands then; None if the slot waits for the run before."""
        last = _last_missed(schedule, slot, now)
        if last is not None:
            return await self._skip(schedule, slot, "skipped: missed", last=last)
        write = await self._timetable.planner.write(
            schedule, slot, f"schedule/{schedule.name}/{slot}"
        )
        if write is None:
            return await self._skip(schedule, slot, "skipped: filter")
        triggered = SlotDecision(
            schedule.workflow, schedule.name, slot, "triggered", slot, now, write.record.run_id
        )
        result = await self._committer.commit(replace(write, unique=(triggered.row,)))
        if isinstance(result, Committed):
            return triggered
        if isinstance(result, InProgress):
            if schedule.overlap == "wait":
                return None
            return await self._skip(schedule, slot, "skipped: running", run_id=result.run_id)
        if isinstance(result, Exists):
            return await self._timetable.decide(triggered)
        if isinstance(result, Refused):
            raise result.error
        decision = await self._timetable.decided(schedule, slot)
        if decision is None:
            raise UnavailableError(f"the slot {slot} of {schedule.name!r} is decided and is not")
        return decision

    async def _skip(
        self,
        schedule: Schedule,
        slot: int,
        decision: Decision,
        *,
        last: int | None = None,
        run_id: str = "",
    ) -> SlotDecision:
        now = self._clock.microseconds()
        last = slot if last is None else last
        return await self._timetable.decide(
            SlotDecision(schedule.workflow, schedule.name, slot, decision, last, now, run_id)
        )

    async def _watch(self, row: QueueRow, body: WatchBody, schedule: Schedule) -> Done:
        """Retire a generation that no live instance has declared for ten minutes."""
        now = self._clock.microseconds()
        consumer = schedule_consumer(schedule.workflow, schedule.name, schedule.fingerprint)
        absent_since = 0 if self._is_anybody_able(consumer) else body.absent_since or now
        if not absent_since or now - absent_since < _RETIRE_AFTER:
            later = WatchBody(body.name, body.fingerprint, absent_since)
            return Move(replace(row, due_at=now + WATCH, body=msgspec.json.encode(later)))
        await self._timetable.change(schedule, lambda found: replace(found, is_retired=True))
        self._committer.finish([self._timetable.row(schedule).key])
        return None


def _last_missed(schedule: Schedule, slot: int, now: int) -> int | None:
    """Return the last of the slots from `slot` on that are passed over together, None for none.

    What passed while the schedule was paused is missed whatever the policy; "latest" passes over a
    slot once a later one is due for certain, "none" once the slot is more than a minute late.
    """
    cron = schedule.cron
    if slot <= schedule.started_at:
        return max(slot, cron.latest(schedule.started_at) or slot)
    if schedule.catch_up == "all":
        return None
    come = now - schedule.jitter
    if schedule.catch_up == "none":
        late = come - _GRACE - 1
        return max(slot, cron.latest(late) or slot) if slot <= late else None
    following = cron.after(slot)
    if following is None or following > come:
        return None
    newest = cron.latest(come) or following
    return max(slot, cron.latest(newest - 1) or slot)
