"""StreamReceiver: a foreign stream's events of one topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stepgraph.engine.inbox import BATCH, Inbox
from stepgraph.engine.receivers.reading import Reading
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.event import Delivery
from stepgraph.model.record import RunRef
from stepgraph.ports.clock import pause_seconds
from stepgraph.ports.event_streamer import EventReceiver
from stepgraph.ports.log import Log

_AWAY_SECONDS = 0.5


class StreamReceiver:
    """Feeds an inbox with deliveries, and acknowledges each after its effect is stored.

    The stream is opened for the slots that are held, and opened anew when they change; events
    that were in hand then come a second time and are dropped by the version gate. What was released
    unfinished is offered again, and what could not be acknowledged is told again: no event is left
    unfinished behind the others, where it would hide the runs that the stream has lost.
    """

    def __init__(
        self,
        inbox: Inbox,
        open_receiver: Callable[[tuple[int, ...]], asyncio.Future[EventReceiver]],
        tasks: Tasks,
        log: Log,
    ) -> None:
        """Receive through what `open_receiver` opens for the held slots."""
        self._log = log
        self.inbox = inbox
        self._open = open_receiver
        self._tasks = tasks
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._acks: list[Delivery] = []
        # By identity: what an earlier receiver gave is no business of this one's.
        self._given: dict[int, Delivery] = {}
        self._has_acks = asyncio.Event()
        self._receiver: EventReceiver | None = None
        self._opened_for: tuple[int, ...] = ()
        self._reading = Reading()
        self._loop = asyncio.get_running_loop()
        inbox.on_room(self._room.set)
        tasks.start(self._run(), "receive events")
        tasks.start(self._acknowledge(), "acknowledge events")

    def wake(self) -> None:
        """Open the stream anew if the slots have changed."""
        self._changed.set()
        if self._opened_for != tuple(sorted(self.inbox.slots)):
            # Also if they are the old ones again by the time that anybody looks.
            self._opened_for = ()
            self._reading.give_up()
            self._room.set()

    async def low_water(self) -> int | None:
        """Return when the oldest event that is not finished was sent; None at the head."""
        return await self._receiver.low_water() if self._receiver is not None else None

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            slots = tuple(sorted(self.inbox.slots))
            if not slots:
                continue
            try:
                self._opened_for = slots
                self._receiver = await self._open(slots)
                self._given.clear()
                self._acks.clear()
                try:
                    await self._receive(self._receiver, slots)
                finally:
                    receiver, self._receiver = self._receiver, None
                    await receiver.close()
            except UnavailableError as error:
                self._log.warning("the stream cannot be read, trying again", error=error)
                await pause_seconds(_AWAY_SECONDS)
            self._changed.set()

    async def _receive(self, receiver: EventReceiver, slots: tuple[int, ...]) -> None:
        while self._opened_for == slots:
            room = min(self.inbox.room, BATCH)
            if room <= 0:
                self._room.clear()
                self.inbox.is_asked_for_room = True
                await self._room.wait()
                continue
            for delivery in await self._reading.of(receiver.receive(room)) or ():
                self._given[id(delivery)] = delivery
                self._offer(delivery)

    def _offer(self, delivery: Delivery) -> None:
        event = delivery.event
        if id(delivery) not in self._given or delivery.slot not in self.inbox.slots:
            # It comes again to whoever opens the stream for its slot.
            return
        known = self.inbox.in_hand.get(event.run_id)
        if known is not None and known.version > event.version:
            self._finish(delivery)
            return
        ref = RunRef(event.workflow, event.foreign_id, event.run_id)
        work = Work(
            self,
            event.run_id,
            delivery.slot,
            version=event.version,
            attempt=event.attempt,
            due_at=event.created_at,
            named=ref,
            delivery=delivery,
        )
        if not self.inbox.offer(work):
            # There is no room, or the run is in hand and may be released: not before that is over
            # is it known what this event is worth.
            self._offer_later(delivery)

    def left(self, work: Work, *, is_finished: bool) -> None:
        """Acknowledge what is finished; what is not is offered again in a moment."""
        delivery = work.delivery
        if delivery is None or id(delivery) not in self._given:
            return
        if is_finished:
            self._finish(delivery)
        else:
            self._offer_later(delivery)

    def _finish(self, delivery: Delivery) -> None:
        del self._given[id(delivery)]
        self._acks.append(delivery)
        self._has_acks.set()

    def _offer_later(self, delivery: Delivery) -> None:
        if not self.inbox.is_closed:
            self._loop.call_later(_AWAY_SECONDS, self._offer, delivery)

    async def _acknowledge(self) -> None:
        while True:
            await self._has_acks.wait()
            self._has_acks.clear()
            deliveries, self._acks = self._acks, []
            receiver = self._receiver
            if receiver is None or not deliveries:
                continue
            try:
                await receiver.ack(deliveries)
            except UnavailableError as error:
                text = "events could not be acknowledged, trying again"
                self._log.warning(text, error=error)
                await pause_seconds(_AWAY_SECONDS)
                if receiver is self._receiver:
                    self._acks[:0] = deliveries
                    self._has_acks.set()
