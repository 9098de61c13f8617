"""Timetable: what is stored of a workflow's schedules, and the queue rows that wait for slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from stepgraph.definition import Definition, ScheduleHandler
from stepgraph.engine.planner import Planner
from stepgraph.errors import InputError, UnavailableError
from stepgraph.model.instant import SECOND
from stepgraph.model.queue import QueueRow
from stepgraph.model.schedule import Schedule, SlotDecision, decision_of, decision_scope
from stepgraph.model.slot import slot_of
from stepgraph.model.topic import schedule_consumer, schedules_consumer
from stepgraph.ports.clock import Clock
from stepgraph.ports.record_store import RecordStore
from stepgraph.ports.schedule_store import ScheduleStore
from stepgraph.ports.work_queue import WorkQueue

_TRIES = 20
_PAGE = 500
_GUARD = 60 * SECOND
WATCH = 60 * SECOND
Change: TypeAlias = Callable[[Schedule], Schedule]


class SlotBody(msgspec.Struct, frozen=True, array_like=True, tag="slot"):
    """A slot that a row waits for; 0 for the next one, whichever that is."""

    name: str
    fingerprint: str
    slot: int


class WatchBody(msgspec.Struct, frozen=True, array_like=True, tag="watch"):
    """A generation that this code does not declare, and since when nobody does; 0 if somebody."""

    name: str
    fingerprint: str
    absent_since: int


_encode = msgspec.json.encode


class Timetable:
    """Reads and changes the schedules of one workflow.

    The row of a schedule's next slot is put by the handling of the slot before. Whoever starts a
    chain of rows stores the schedule and then puts the row, with another row that looks after a
    minute whether the first was put: a process may die in between. Rows of one schedule that are
    there twice become one when they are handled.
    """

    def __init__(
        self,
        definition: Definition[Any, Any],
        store: ScheduleStore,
        records: RecordStore,
        queue: WorkQueue,
        clock: Clock,
        *,
        planner: Planner,
        wake: Callable[[], None],
    ) -> None:
        """Serve the workflow of `definition`; `wake` tells that a row was put into the queue."""
        self._workflow = definition.name
        self._handlers = {handler.name: handler for handler in definition.schedules}
        self._store = store
        self._records = records
        self._queue = queue
        self._clock = clock
        self._wake = wake
        self.planner = planner

    async def start(self) -> None:
        """Store what the code declares, put its missing rows, and have an eye on what it does not.

        May be repeated, by any number of instances. A schedule that is new, or has another spec or
        zone than before, starts after now, and is paused if the one before is.
        """
        for handler in self._handlers.values():
            schedule = await self._declare(handler)
            await self._put_rows([self.row(schedule)] if schedule.next_slot is not None else [])
        declared = {(h.name, h.fingerprint) for h in self._handlers.values()}
        due_at = self._clock.microseconds() + WATCH
        async for found in self.schedules():
            if found.is_declared and (found.name, found.fingerprint) not in declared:
                body = WatchBody(found.name, found.fingerprint, 0)
                row_id = f"{found.name}/{found.fingerprint}/watch"
                row = self._row_of(found, due_at, row_id, body)
                await self._put_rows([replace(row, consumer=schedules_consumer(self._workflow))])
        self._wake()

    async def _declare(self, handler: ScheduleHandler) -> Schedule:
        options = {
            "foreign_id": handler.foreign_id if isinstance(handler.foreign_id, str) else "",
            "catch_up": handler.catch_up,
            "overlap": handler.overlap,
            "jitter": handler.jitter,
        }
        for _ in range(_TRIES):
            now = self._clock.microseconds()
            found = await self._store.get(self._workflow, handler.name)
            own = next((s for s in found if s.fingerprint == handler.fingerprint), None)
            before = max(found, key=lambda schedule: schedule.started_at, default=None)
            is_paused = before is not None and before.is_paused
            cron = handler.cron
            fresh: dict[str, Any] = {
                **options, "is_paused": is_paused, "started_at": now, "next_slot": cron.after(now)
            }  # fmt: skip
            if own is None:
                wanted = Schedule(
                    self._workflow, handler.name, handler.fingerprint, cron.spec, cron.zone,
                    object=b"", **fresh,
                )  # fmt: skip
            else:
                changes = {**fresh, "is_retired": False} if own.is_retired else options
                wanted = _changed(own, changes)
            if wanted is own or await self._store.put(wanted):
                await self._take_over(found)
                return wanted
        raise UnavailableError(f"the schedule {handler.name!r} is being changed by others")

    async def _take_over(self, found: Sequence[Schedule]) -> None:
        """What code declares now needs nobody to have put it before."""
        for schedule in found:
            if not schedule.is_declared:
                await self._store.delete(schedule)

    async def schedules(self) -> AsyncIterator[Schedule]:
        """Iterate over every generation that is not retired, by name."""
        after = ("", "")
        while True:
            page = await self._store.list_schedules(self._workflow, after, _PAGE)
            for schedule in page:
                if not schedule.is_retired:
                    yield schedule
            if len(page) < _PAGE:
                return
            after = (page[-1].name, page[-1].fingerprint)

    async def find(self, name: str, fingerprint: str) -> Schedule | None:
        """Return a generation that is not retired."""
        found = await self._store.get(self._workflow, name)
        return next((s for s in found if s.fingerprint == fingerprint and not s.is_retired), None)

    async def generations(self, name: str) -> Sequence[Schedule]:
        """Return what lives under a name, the newest first; raises `InputError` for nothing."""
        found = [s for s in await self._store.get(self._workflow, name) if not s.is_retired]
        if not found:
            raise InputError(f"{self._workflow!r} has no schedule {name!r}")
        return sorted(found, key=lambda schedule: schedule.started_at, reverse=True)

    async def change(self, schedule: Schedule, change: Change) -> Schedule | None:
        """Store what `change` makes of a schedule as it is now; None if it is gone."""
        for _ in range(_TRIES):
            found = await self.find(schedule.name, schedule.fingerprint)
            if found is None:
                return None
            wanted = change(found)
            if wanted is found:
                return found
            wanted = replace(wanted, version=found.version + 1)
            if await self._store.put(wanted):
                return wanted
        raise UnavailableError(f"the schedule {schedule.name!r} is being changed by others")

    async def put(self, wanted: Schedule) -> Schedule:
        """Store a schedule that no code declares, and its row; raises `InputError`.

        One that is there goes on with its slots, unless its spec or zone is another now.
        """
        asked = wanted
        for _ in range(_TRIES):
            found = await self._store.get(self._workflow, asked.name)
            if any(s.is_declared and not s.is_retired for s in found):
                raise InputError(
                    f"the schedule {wanted.name!r} is declared in code: change it there"
                )
            before = next((s for s in found if not s.is_declared), None)
            wanted = asked
            if before is not None:
                kept: dict[str, Any] = {"is_paused": before.is_paused}
                if (before.spec, before.zone) == (asked.spec, asked.zone):
                    names = ("started_at", "next_slot", "last_slot", "last_decision")
                    kept |= {name: getattr(before, name) for name in names}
                wanted = replace(asked, version=before.version + 1, **kept)
            await self._look_at(wanted, self._clock.microseconds() + _GUARD)
            if await self._store.put(wanted):
                await self._put_rows([self.row(wanted)] if wanted.next_slot is not None else [])
                return wanted
        raise UnavailableError(f"the schedule {wanted.name!r} is being changed by others")

    async def delete(self, name: str) -> None:
        """Delete a schedule that no code declares; its row ends when it is due."""
        for _ in range(_TRIES):
            (schedule, *_) = await self.generations(name)
            if schedule.is_declared:
                raise InputError(f"the schedule {name!r} is declared in code: delete it there")
            if await self._store.delete(schedule):
                return
        raise UnavailableError(f"the schedule {name!r} is being changed by others")

    async def pull(self, schedule: Schedule) -> None:
        """Have a schedule looked at now: something else than the time has changed."""
        await self._look_at(schedule, self._clock.microseconds())

    async def _look_at(self, schedule: Schedule, due_at: int) -> None:
        """Put a row of its own, which becomes that of the next slot when it is handled."""
        body = SlotBody(schedule.name, schedule.fingerprint, 0)
        row_id = f"{schedule.name}/{schedule.version}"
        await self._put_rows([self._row_of(schedule, due_at, row_id, body)])

    async def _put_rows(self, rows: Sequence[QueueRow]) -> None:
        if rows:
            await self._queue.put([(None, row) for row in rows])
            self._wake()

    def row(self, schedule: Schedule) -> QueueRow:
        """Return the row that waits for the next slot, which must be there."""
        slot = schedule.next_slot
        if slot is None:
            raise ValueError(f"the schedule {schedule.name!r} has no next slot")
        body = SlotBody(schedule.name, schedule.fingerprint, slot)
        return self._row_of(schedule, schedule.due_at(slot), schedule.name, body)

    def _row_of(
        self, schedule: Schedule, due_at: int, row_id: str, body: SlotBody | WatchBody
    ) -> QueueRow:
        consumer = schedules_consumer(self._workflow)
        if schedule.is_declared:
            consumer = schedule_consumer(self._workflow, schedule.name, schedule.fingerprint)
        slot = slot_of(schedule.name, self._records.slot_count)
        return QueueRow(
            consumer, slot, due_at, row_id, self._workflow, schedule.name, "", 0,
            body=_encode(body),
        )  # fmt: skip

    async def decided(self, schedule: Schedule, slot: int) -> SlotDecision | None:
        """Return the decision that stands for a slot, if there is one."""
        scope = decision_scope(self._workflow, schedule.name)
        body = await self._records.find_unique(scope, str(slot))
        if body is None:
            return None
        return decision_of(self._workflow, schedule.name, slot, body)

    async def decide(self, decision: SlotDecision) -> SlotDecision:
        """Decide that a slot is skipped, unless it is decided; return the decision that stands."""
        return await self._store.decide(decision)

    async def note(self, schedule: Schedule, decision: SlotDecision) -> Schedule | None:
        """Go on to the slot after a decided one, unless somebody did; None if it is gone."""

        def noted(found: Schedule) -> Schedule:
            if found.next_slot != decision.slot:
                return found
            return replace(
                found,
                next_slot=found.cron.after(decision.last),
                last_slot=decision.last,
                last_decision=decision.decision,
            )

        return await self.change(schedule, noted)


def _changed(schedule: Schedule, changes: dict[str, Any]) -> Schedule:
    """Return the next version, or the very same if nothing would be another."""
    if all(getattr(schedule, name) == value for name, value in changes.items()):
        return schedule
    return replace(schedule, version=schedule.version + 1, **changes)
