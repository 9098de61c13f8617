"""Schedules: what triggers runs by itself: listed, paused, and made at run time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, final
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from stepgraph.declare import read_schedule
from stepgraph.engine.supervisor import Supervisor
from stepgraph.engine.timetable import Timetable
from stepgraph.engine.trigger import run_id_of
from stepgraph.errors import DefinitionError, InputError
from stepgraph.model.identifier import ID_LIMIT, check_name, cut_text, shown
from stepgraph.model.instant import to_datetime
from stepgraph.model.schedule import CatchUp, Decision, Overlap, Schedule
from stepgraph.ports.log import Log

O = TypeVar("O")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo:
    """A stored schedule and what it will do next.

    Slots are aware datetimes in the schedule's zone; a paused schedule has no next one.
    """

    name: str
    spec: str
    zone: str
    is_paused: bool
    next_slot: datetime | None
    last_slot: datetime | None
    last_decision: Decision | None


@final
class Schedules(Generic[O]):
    """The schedules of one workflow: one decision a slot is stored, whoever runs.

    Usable while the workflow or a client is open.
    """

    def __init__(self, workflow: str, supervisor: Callable[[], Supervisor]) -> None:
        """Serve one workflow."""
        self._workflow = workflow
        self._supervisor = supervisor

    async def find(self) -> AsyncIterator[ScheduleInfo]:
        """Iterate over all schedules, by name.

        While two releases of the code declare one with different specs, the newer one is told.
        """
        newest: Schedule | None = None
        async for schedule in self._timetable().schedules():
            if newest is not None and newest.name != schedule.name:
                yield _info(newest)
                newest = None
            if newest is None or schedule.started_at > newest.started_at:
                newest = schedule
        if newest is not None:
            yield _info(newest)

    async def put(
        self,
        name: str,
        spec: str,
        initial: O,
        *,
        foreign_id: str | None = None,
        zone: str = "UTC",
        catch_up: CatchUp = "latest",
        jitter: timedelta = timedelta(0),
        overlap: Overlap = "skip",
    ) -> ScheduleInfo:
        """Create or change a schedule that no code declares: one per customer, say.

        Every slot triggers `initial`, under `foreign_id` (the name if None). May be repeated. A
        schedule that is new, or has another spec or zone than before, starts after now; else it
        goes on with its slots. Raises `DefinitionError` for a name or a spec that cannot be, and
        `InputError` for an object that cannot be stored or a name that code declares.
        """
        timetable, supervisor = self._timetable(), self._supervisor()
        check_name("schedule name", name)
        options = {
            "foreign_id": foreign_id, "zone": zone, "catch_up": catch_up, "jitter": jitter,
            "overlap": overlap,
        }  # fmt: skip
        fields = read_schedule(name, spec, options)
        data = supervisor.entrance.encoded(initial)
        now = supervisor.instance.clock.microseconds()
        cron = fields["cron"]
        wanted = Schedule(
            self._workflow, name, "", cron.spec, cron.zone, fields["foreign_id"],
            fields["catch_up"], fields["overlap"], fields["jitter"], data, now, cron.after(now),
        )  # fmt: skip
        return _info(await timetable.put(wanted))

    async def pause(self, name: str, *, actor: str = "") -> ScheduleInfo:
        """Let no slot trigger until `resume`; the slots that pass are missed.

        A release that declares the schedule anew finds it paused. Raises `InputError` if there is
        no such schedule.
        """
        return await self._set_paused(name, "paused", actor)

    async def resume(self, name: str, *, actor: str = "") -> ScheduleInfo:
        """Go on with the first slot after now. Raises `InputError` if there is no such schedule."""
        return await self._set_paused(name, "resumed", actor)

    async def _set_paused(self, name: str, word: str, actor: str) -> ScheduleInfo:
        timetable = self._timetable()
        now = self._supervisor().instance.clock.microseconds()

        def change(found: Schedule) -> Schedule:
            if found.is_paused is (word == "paused"):
                return found
            started_at = found.started_at if word == "paused" else now
            return replace(found, is_paused=word == "paused", started_at=started_at)

        told: Schedule | None = None
        for schedule in await timetable.generations(name):
            changed = await timetable.change(schedule, change)
            if changed is not None and not changed.is_paused:
                await timetable.pull(changed)
            told = told or changed
        if told is None:
            raise InputError(f"the schedule {name!r} was deleted meanwhile")
        self._tell(name, word, actor)
        return _info(told)

    async def trigger_now(self, name: str, *, actor: str = "") -> str:
        """Trigger outside the schedule, and return the run's id.

        The function of a declared schedule is called here, with now in place of a slot; no slot is
        used up, and a paused schedule triggers too. Raises `InputError` if there is no such
        schedule or its function answers None, and what `Workflow.trigger` raises.
        """
        timetable, supervisor = self._timetable(), self._supervisor()
        (schedule, *_) = await timetable.generations(name)
        now = supervisor.instance.clock.microseconds()
        write = await timetable.planner.write(schedule, now, None)
        if write is None:
            raise InputError(f"the function of the schedule {name!r} answers None for now")
        run_id = run_id_of(write, await supervisor.instance.committer.commit(write))
        self._tell(name, "triggered", actor)
        return run_id

    async def delete(self, name: str, *, actor: str = "") -> None:
        """Delete a schedule that no code declares; its runs and its decisions stay.

        Raises `InputError` if there is no such schedule, or code declares it.
        """
        await self._timetable().delete(name)
        self._tell(name, "deleted", actor)

    def _tell(self, name: str, done: str, actor: str) -> None:
        """Log on "stepgraph.audit" what was done, and by whom."""
        by = shown(cut_text(actor, ID_LIMIT)) if actor else "nobody"
        Log("stepgraph.audit", self._workflow).info("schedule %s %s by %s", name, done, by)

    def _timetable(self) -> Timetable:
        supervisor = self._supervisor()
        if supervisor.timetable is None:
            kind = type(supervisor.instance.backend).__name__
            raise DefinitionError(f"{kind} has no schedule_store to keep schedules in")
        return supervisor.timetable


def _info(schedule: Schedule) -> ScheduleInfo:
    zone: Any = ZoneInfo(schedule.zone)
    next_slot = None if schedule.is_paused else schedule.next_slot
    last_slot = schedule.last_slot
    return ScheduleInfo(
        name=schedule.name,
        spec=schedule.spec,
        zone=schedule.zone,
        is_paused=schedule.is_paused,
        next_slot=None if next_slot is None else to_datetime(next_slot).astimezone(zone),
        last_slot=None if last_slot is None else to_datetime(last_slot).astimezone(zone),
        last_decision=schedule.last_decision,
    )
