"""BacklogCounter: tells observers, every ten seconds, how much waits for the processes here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stepgraph.engine.consume import Consumer
from stepgraph.errors import UnavailableError
from stepgraph.ports.backlog import Backlog
from stepgraph.ports.clock import Clock, pause_seconds
from stepgraph.ports.log import Log

LIMIT = 1000
_PERIOD_SECONDS = 10.0
_FIRST_SECONDS = 1.0


class BacklogCounter:
    """One bounded statement a period for all processes of an instance, however often it is scraped.

    Only slots that are held are counted: the sum over all instances is what waits. Without
    observers nothing is asked.
    """

    def __init__(
        self,
        backlog: Backlog,
        clock: Clock,
        consumers: Callable[[], Iterable[Consumer]],
        log: Log,
    ) -> None:
        """Count for those of `consumers` that somebody observes."""
        self._backlog = backlog
        self._clock = clock
        self._consumers = consumers
        self._log = log

    async def run(self) -> None:
        """Count for ever."""
        while True:
            has_counted = False
            try:
                has_counted = await self.count()
            except UnavailableError as error:
                self._log.warning("the queue cannot be counted, trying again", error=error)
            await pause_seconds(_PERIOD_SECONDS if has_counted else _FIRST_SECONDS)

    async def count(self) -> bool:
        """Count once, and tell; False if there was nothing to count for."""
        consumers = [c for c in self._consumers() if c.is_observed and c.inbox.slots]
        if not consumers:
            return False
        wanted = {consumer.name: tuple(consumer.inbox.slots) for consumer in consumers}
        found = await self._backlog.count(wanted, self._clock.microseconds(), LIMIT)
        for consumer in consumers:
            consumer.counted(
                {slot: w for (name, slot), w in found.items() if name == consumer.name}
            )
        return True
