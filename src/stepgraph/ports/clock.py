"""Clock: what time it is for the business, and elapsed time for leases."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from datetime import UTC, datetime
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """The clock that runs, timers and schedules go by."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    @abstractmethod
    async def sleep_until(self, at: datetime, /) -> None:
        """Return once `now()` has reached `at`; cancellable."""
        ...

    @abstractmethod
    def microseconds(self) -> int:
        """Return `now()` in microseconds since the epoch."""
        ...


class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's time."""
        return datetime.now(UTC)

    async def sleep_until(self, at: datetime, /) -> None:
        """Sleep in slices of at most a minute, so that a clock that was set is noticed."""
        while (remaining := (at - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(remaining, 60.0))

    def microseconds(self) -> int:
        """Return the machine's time in microseconds."""
        return time.time_ns() // 1000


_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# The one source of elapsed time: a simulation puts its own here.
read_elapsed = partial(time.clock_gettime, _BOOT_CLOCK)


def elapsed_seconds() -> float:
    """Return seconds that also pass while the machine is suspended: what leases are measured by."""
    return read_elapsed()


async def pause_seconds(seconds: float) -> None:
    """Let real time pass; for the engine's own back-off, never for the business."""
    await asyncio.sleep(seconds)
