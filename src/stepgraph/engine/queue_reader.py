"""QueueReader: one fetch for all hungry consumers of an instance, and the pulse that wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stepgraph.engine.receivers.queue import QueueReceiver
from stepgraph.errors import UnavailableError
from stepgraph.model.instant import SECOND
from stepgraph.model.queue import QueueRow, Want
from stepgraph.ports.clock import Clock, pause_seconds
from stepgraph.ports.log import Log
from stepgraph.ports.work_queue import WorkQueue

_AWAY_SECONDS = 0.2


class QueueReader:
    """Drains the queue rows of every consumer that this instance runs.

    Hints and commits of this process wake it; the pulse, one statement a second that asks for the
    next due instant of every consumer, is the truth: losing every hint costs latency only.
    """

    def __init__(self, queue: WorkQueue, clock: Clock, pulse_seconds: float, log: Log) -> None:
        """Read `queue`, by `clock`, with a pulse at least every `pulse_seconds`."""
        self._log = log
        self._queue = queue
        self._clock = clock
        self._pulse_seconds = pulse_seconds
        self.receivers: dict[str, QueueReceiver] = {}
        self._looks: dict[str, Callable[[int | None], None]] = {}
        self._asked = asyncio.Event()
        self._stirred = asyncio.Event()
        self._next_due: int | None = None

    def add(
        self,
        consumer: str,
        make: Callable[[Callable[[], None]], QueueReceiver],
        look: Callable[[int | None], None],
    ) -> None:
        """Read for one more consumer; each pulse tells `look` when its next row is due."""
        self.receivers[consumer] = make(self._asked.set)
        self._looks[consumer] = look

    def remove(self, consumer: str) -> None:
        """Read no more for a consumer."""
        self.receivers.pop(consumer, None)
        self._looks.pop(consumer, None)

    def receiver(self, consumer: str) -> QueueReceiver | None:
        """Return the receiver of a consumer that runs here."""
        return self.receivers.get(consumer)

    def wake_all(self) -> None:
        """Know that any consumer may have due rows."""
        for receiver in self.receivers.values():
            receiver.wake()

    def sweep_all(self) -> None:
        """Have every consumer read from the very beginning."""
        for receiver in self.receivers.values():
            receiver.sweep()

    def expect(self, due_at: int) -> None:
        """Know that a row becomes due at an instant: the pulse will not sleep past it."""
        if self._next_due is None or due_at < self._next_due:
            self._next_due = due_at
            self._stirred.set()

    async def fetch(self) -> None:
        """Fetch for whoever asks, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            wants = [
                (receiver, want)
                for receiver in list(self.receivers.values())
                if (want := receiver.want()) is not None
            ]
            if wants:
                await self._fetch(wants)

    async def _fetch(self, wants: list[tuple[QueueReceiver, Want]]) -> None:
        try:
            rows = await self._queue.due([w for _, w in wants], self._clock.microseconds())
        except UnavailableError as error:
            self._log.warning("the queue cannot be read, trying again", error=error)
            for receiver, _ in wants:
                receiver.failed()
            await pause_seconds(_AWAY_SECONDS)
            self._asked.set()
            return
        found: dict[str, list[QueueRow]] = {}
        for row in rows:
            found.setdefault(row.consumer, []).append(row)
        for receiver, want in wants:
            receiver.fetched(want, found.get(want.consumer, ()))

    async def pulse(self) -> None:
        """Ask what is due next, wake its consumers, and sleep until then, for ever."""
        while True:
            self._stirred.clear()
            self._next_due = None
            try:
                await self._beat()
            except UnavailableError as error:
                self._log.warning("the pulse cannot read the queue, trying again", error=error)
            await self._sleep()

    async def _beat(self) -> None:
        consumers = {
            name: tuple(receiver.inbox.slots)
            for name, receiver in self.receivers.items()
            if receiver.inbox.slots
        }
        if not consumers:
            return
        instants = await self._queue.next_due(consumers)
        for name in consumers:
            if (look := self._looks.get(name)) is not None:
                look(instants.get(name))
        now = self._clock.microseconds()
        for name, due_at in instants.items():
            if due_at > now:
                self.expect(due_at)
            elif (receiver := self.receivers.get(name)) is not None:
                receiver.wake()

    async def _sleep(self) -> None:
        """Sleep to the next due instant, at most one period, and wake what became due."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._pulse_seconds
        while (remaining := ends_at - loop.time()) > 0:
            self._stirred.clear()
            if self._next_due is not None:
                until_due = (self._next_due - self._clock.microseconds()) / SECOND
                if until_due <= 0:
                    self._next_due = None
                    # Which consumer it is for is not known: asking all costs one statement.
                    self.wake_all()
                    return
                remaining = min(remaining, until_due)
            try:
                async with asyncio.timeout(remaining):
                    await self._stirred.wait()
            except TimeoutError:
                continue
