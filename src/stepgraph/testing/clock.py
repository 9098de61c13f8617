"""FakeClock: a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from stepgraph.model.instant import to_instant
from stepgraph.ports.clock import Clock


class FakeClock(Clock):
    """Give it to `build(clock=...)`; every workflow of a test may share one."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        """Stand at `start`, which must be aware."""
        to_instant(start)
        self._now = start.astimezone(UTC)
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return where the clock stands."""
        return self._now

    def microseconds(self) -> int:
        """Return where the clock stands, in microseconds since the epoch."""
        return to_instant(self._now)

    def advance(self, by: timedelta) -> None:
        """Move the clock forward and wake who slept until then. It never goes back."""
        if by < timedelta(0):
            raise ValueError(f"the clock cannot go back by {-by}")
        self._now += by
        waiting = self._sleepers
        self._sleepers = [(at, sleeper) for at, sleeper in waiting if at > self._now]
        for at, sleeper in waiting:
            if at <= self._now and not sleeper.done():
                sleeper.set_result(None)

    async def sleep_until(self, at: datetime, /) -> None:
        """Return once the clock was moved to `at` or past it."""
        if at > self._now:
            sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._sleepers.append((at, sleeper))
            await sleeper
