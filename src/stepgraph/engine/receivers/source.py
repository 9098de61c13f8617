"""SourceReceiver: the events of an outside stream, each handed to one consumer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from stepgraph.engine.inbox import BATCH, Inbox
from stepgraph.engine.receivers.reading import Reading
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.work import Work
from stepgraph.errors import InputError, UnavailableError
from stepgraph.model.identifier import cut_text
from stepgraph.model.instant import SECOND, to_instant
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import RunRef
from stepgraph.model.slot import slot_of
from stepgraph.ports.clock import Clock, pause_seconds
from stepgraph.ports.connector import Connector, ConnectorEvent, ConnectorReceiver, check_event
from stepgraph.ports.log import Log
from stepgraph.ports.work_queue import WorkQueue

_FIRST_AWAY, _LAST_AWAY = 0.5, 30.0
_READING_SLOT = 0
# A row must be in the queue before it can be parked, and must not be worked on in between.
_REFUSED_WAIT = 60 * SECOND


class SourceReceiver:
    """Reads the stream while it holds the reading slot, and acknowledges what has been done.

    Of one foreign id one event is in hand at a time, so that first calls come in the order of the
    source. Where several groups share the work (`is_spread`), the reader stores each event as a
    row of its foreign id's slot instead, acknowledges it then, and the groups take it from there.
    """

    def __init__(
        self,
        inbox: Inbox,
        connector: Connector,
        *,
        consumer: str,
        workflow: str,
        queue: WorkQueue,
        clock: Clock,
        tasks: Tasks,
        log: Log,
        slot_count: int,
        consume_lag: int,
        is_spread: bool,
    ) -> None:
        """Feed `inbox` from `connector`; the position belongs to the name `consumer`."""
        self._inbox = inbox
        self._connector = connector
        self._consumer = consumer
        self._workflow = workflow
        self._queue = queue
        self._clock = clock
        self._log = log
        self._slot_count = slot_count
        self._consume_lag = consume_lag
        self._is_spread = is_spread
        self._receiver: ConnectorReceiver | None = None
        self._waiting: deque[ConnectorEvent] = deque()
        self._in_hand: dict[int, tuple[ConnectorEvent, ConnectorReceiver | None]] = {}
        self._done: list[ConnectorEvent] = []
        self._is_acknowledging = False
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        self._has_done = asyncio.Event()
        self._reading = Reading()
        self._is_outdated = False
        inbox.on_room(self._moved.set)
        tasks.start(self._run(), f"read the source of {consumer}")
        tasks.start(self._acknowledge(), f"acknowledge to the source of {consumer}")

    def wake(self) -> None:
        """Know that the slots may have changed."""
        self._changed.set()
        self._moved.set()
        if not self._is_reader:
            # Also if it is the reader again by the time that anybody looks.
            self._is_outdated = True
            self._reading.give_up()

    @property
    def _is_reader(self) -> bool:
        return _READING_SLOT in self._inbox.slots and not self._inbox.is_closed

    async def _run(self) -> None:
        away = _FIRST_AWAY
        while True:
            if not self._is_reader:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                self._is_outdated = False
                self._receiver = await self._connector.open_receiver(self._consumer)
                try:
                    away = _FIRST_AWAY
                    await self._read(self._receiver)
                finally:
                    receiver, self._receiver = self._receiver, None
                    self._waiting.clear()
                    await receiver.close()
            except Exception as error:  # a foreign stream can raise anything
                self._log.warning("%s cannot be read, trying again", self._consumer, error=error)
                await pause_seconds(away)
                away = min(_LAST_AWAY, away * 2)

    async def _read(self, receiver: ConnectorReceiver) -> None:
        while self._is_reader and not self._is_outdated:
            room = min(self._inbox.room, BATCH)
            if self._waiting or room <= 0:
                await self._wait()
                await self._offer()
                continue
            events = await self._reading.of(receiver.receive(room))
            self._waiting.extend(await self._accepted(events or ()))
            await self._offer()

    async def _accepted(self, events: Sequence[ConnectorEvent]) -> list[ConnectorEvent]:
        """Return what can be worked on; what no store takes is parked without its payload."""
        accepted: list[ConnectorEvent] = []
        for event in events:
            try:
                check_event(event)
            except InputError as error:
                await self._refuse(event, error)
            else:
                accepted.append(event)
        return accepted

    async def _refuse(self, event: ConnectorEvent, error: InputError) -> None:
        now = self._clock.microseconds()
        name = blake2b(ascii((event.id, str(error))).encode(), digest_size=16).hexdigest()
        row = QueueRow(
            self._consumer, _READING_SLOT, now + _REFUSED_WAIT, name, self._workflow, "", "", 0
        )
        await self._queue.put([(None, row)])
        await self._queue.park([row], cut_text(error), now)
        kind = type(error).__name__
        self._log.error("%s refuses an event, see the dead letters", self._consumer, error=kind)
        self._finish([event])

    async def _wait(self) -> None:
        """Wait until something leaves the inbox, or the oldest event has its minimum age."""
        self._moved.clear()
        self._inbox.is_asked_for_room = True
        seconds = self._seconds_to_age(self._waiting[0]) if self._waiting else 0.0
        try:
            async with asyncio.timeout(seconds or None):
                await self._moved.wait()
        except TimeoutError:
            return

    def _seconds_to_age(self, event: ConnectorEvent) -> float:
        if not self._consume_lag:
            return 0.0
        due_at = to_instant(event.created_at) + self._consume_lag
        return max(0.0, (due_at - self._clock.microseconds()) / SECOND)

    async def _offer(self) -> None:
        """Hand over what may be worked on now; what must wait keeps its order."""
        if self._is_spread:
            await self._store()
        else:
            self._offer_waiting()

    def _offer_waiting(self) -> None:
        kept: deque[ConnectorEvent] = deque()
        held: set[str] = set()
        while self._waiting:
            event = self._waiting.popleft()
            name = _order_of(event)
            if name in held or self._seconds_to_age(event) > 0 or not self._take(event, name):
                held.add(name)
                kept.append(event)
        self._waiting = kept

    def _take(self, event: ConnectorEvent, name: str) -> bool:
        work = self._work_of(event, name)
        if self._inbox.offer(work):
            self._in_hand[id(work)] = (event, self._receiver)
            return True
        return False

    async def _store(self) -> None:
        """Store ripe events as rows, then acknowledge them."""
        ripe: list[ConnectorEvent] = []
        while self._waiting and self._seconds_to_age(self._waiting[0]) <= 0:
            ripe.append(self._waiting.popleft())
        if ripe:
            try:
                await self._queue.put([(None, self._row_of(event)) for event in ripe])
            except UnavailableError:
                self._waiting.extendleft(reversed(ripe))
                raise
            self._finish(ripe)

    def _row_of(self, event: ConnectorEvent) -> QueueRow:
        slot = slot_of(_order_of(event), self._slot_count) if self._is_spread else _READING_SLOT
        return QueueRow(
            self._consumer,
            slot,
            self._clock.microseconds(),
            event.id,
            self._workflow,
            event.foreign_id,
            "",
            0,
            body=msgspec.json.encode(event),
        )

    def _work_of(self, event: ConnectorEvent, name: str) -> Work:
        ref = RunRef(self._workflow, event.foreign_id, "")
        # The row is not in the store, so it has no key: it is put there only if the event fails.
        row = self._row_of(event)
        due_at = to_instant(event.created_at)
        return Work(self, name, _READING_SLOT, row, due_at=due_at, named=ref)

    def left(self, work: Work, *, is_finished: bool) -> None:
        """Acknowledge what is done; what is not is handed over again in a moment.

        The source may have nothing more to give, so that nothing else would bring it up.
        """
        event, receiver = self._in_hand.pop(id(work), (None, None))
        self._moved.set()
        if event is None or receiver is not self._receiver:
            # What an earlier receiver gave comes again from this one, or has come already.
            return
        if is_finished:
            self._finish([event])
        elif receiver is not None and self._is_reader:
            self._waiting.appendleft(event)
            # The reader may be waiting for the source, which may have nothing more to give.
            asyncio.get_running_loop().call_later(_FIRST_AWAY, self._offer_waiting)

    def _finish(self, events: list[ConnectorEvent]) -> None:
        self._done += events
        self._has_done.set()

    async def _acknowledge(self) -> None:
        while True:
            await self._has_done.wait()
            self._has_done.clear()
            done, self._done = self._done, []
            receiver = self._receiver
            if receiver is None or not done:
                continue
            self._is_acknowledging = True
            try:
                await receiver.ack(done)
            except Exception as error:  # a foreign stream can raise anything
                text = "events could not be acknowledged, trying again"
                self._log.warning(text, error=error)
                await pause_seconds(_FIRST_AWAY)
                if receiver is self._receiver:
                    self._done[:0] = done
                    self._has_done.set()
            finally:
                self._is_acknowledging = False

    def unfinished(self) -> str:
        """Say what waits here although it could go on at this instant."""
        ripe = sum(1 for event in self._waiting if self._seconds_to_age(event) <= 0)
        if ripe:
            return f"{ripe} events of the source are not begun"
        return "events are acknowledged" if self._done or self._is_acknowledging else ""

    def next_due(self) -> int | None:
        """Return when the first of the events that are too young has its minimum age."""
        if not self._waiting:
            return None
        return min(to_instant(event.created_at) for event in self._waiting) + self._consume_lag


def _order_of(event: ConnectorEvent) -> str:
    """Return what orders an event among others: its foreign id, or its own id without one."""
    return event.foreign_id or event.id
