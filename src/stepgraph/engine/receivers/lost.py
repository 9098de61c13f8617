"""LostReceiver: runs whose announcement got lost, found by their record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stepgraph.engine.inbox import Inbox
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.ports.clock import Clock
from stepgraph.ports.log import Log
from stepgraph.ports.lost_runs import LostQuery, LostRuns


class LostReceiver:
    """Looks once a `period`, and whenever slots were gained, for runs that nobody works on.

    A run counts as lost if its work was due before everything that the stream still has to give,
    and `stuck_after` microseconds more: a backlog is not lost. They are not announced again; the
    consumer that owns the slot reads them, at most one look's worth at a time.
    """

    def __init__(
        self,
        inbox: Inbox,
        lost_runs: LostRuns,
        query: LostQuery,
        clock: Clock,
        low_water: Callable[[], Awaitable[int | None]],
        *,
        stuck_after: int,
        period_seconds: float,
        limit: int,
        log: Log,
    ) -> None:
        """Look for what `query` names."""
        self.inbox = inbox
        self._lost_runs = lost_runs
        self._query = query
        self._clock = clock
        self._low_water = low_water
        self._stuck_after = stuck_after
        self._period_seconds = period_seconds
        self._limit = limit
        self._log = log
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look soon."""
        self._woken.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                async with asyncio.timeout(self._period_seconds):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            if self.inbox.slots:
                try:
                    await self._look()
                except UnavailableError as error:
                    self._log.warning("lost runs cannot be looked for, trying again", error=error)

    async def _look(self) -> None:
        low_water = await self._low_water()
        before = self._clock.microseconds() if low_water is None else low_water
        query = self._query._replace(
            slots=tuple(self.inbox.slots), due_before=before - self._stuck_after
        )
        for record in await self._lost_runs.list_lost(query, min(self._limit, self.inbox.room)):
            slot = next(iter(self.inbox.slots), 0)
            work = Work(
                self,
                record.run_id,
                slot,
                version=record.version,
                attempt=record.attempt,
                due_at=record.due_at,
                named=record.ref,
            )
            self.inbox.offer(work)

    def left(self, work: Work, *, is_finished: bool) -> None:
        """Do nothing: the record itself says whether it still waits."""
