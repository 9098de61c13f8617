"""Faults: what may go wrong in a harness, by chance, and the same for a seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, cast

from stepgraph.engine.instance import Instance
from stepgraph.errors import OutcomeUnknownError
from stepgraph.model.instant import to_microseconds
from stepgraph.model.queue import QueueKey, QueueRow, Want
from stepgraph.model.write import Result, Write
from stepgraph.ports.backend import HasRecordStore
from stepgraph.ports.connector import Connector, ConnectorEvent, ConnectorReceiver
from stepgraph.ports.hints import Hints
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.lost_runs import LostRuns
from stepgraph.ports.record_store import RecordStore
from stepgraph.ports.work_queue import WorkQueue

_EVER = 2**62
_EVERY_ROW = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What may go wrong in a harness, by chance but the same for a seed: the promises hold.

    seed: another seed, other accidents.
    drop: the chance that an announcement is lost, and that the answer of a commit is.
    repeat: the chance that an announcement, or an event of a source, comes twice.
    delay: by up to how much of the clock's time announcements are late.
    crash: the chance, at each commit, that the whole instance dies in it and starts anew.
    """

    seed: int = 0
    drop: float = 0.0
    repeat: float = 0.0
    delay: timedelta = timedelta(0)
    crash: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what could never come to an end."""
        for name, chance in (("drop", self.drop), ("repeat", self.repeat), ("crash", self.crash)):
            if not 0.0 <= chance < 1.0:
                raise ValueError(f"{name}={chance!r} must be a chance from 0 to below 1")
        if self.delay < timedelta(0):
            raise ValueError(f"delay={self.delay!r} must not be negative")


class Chance:
    """Draws that depend on what they are about, not on the order in which it comes."""

    def __init__(self, faults: Faults) -> None:
        """Draw for `faults`."""
        self.faults = faults
        self.is_healed = False
        self.struck: Counter[str] = Counter()
        self._draws: Counter[tuple[str, tuple[object, ...]]] = Counter()

    def draw(self, kind: str, about: tuple[object, ...]) -> float:
        """Return a number in [0, 1), another one at each call about the same thing."""
        self._draws[kind, about] += 1
        return self._number(kind, about, self._draws[kind, about])

    def lateness(self, row: QueueRow) -> int:
        """Return by how many microseconds a row is announced late: always the same."""
        longest = to_microseconds(self.faults.delay)
        if self.is_healed or not longest:
            return 0
        self.struck["delay"] += 1
        return int(longest * self._number("delay", _about(row), 0))

    def happens(self, kind: str, chance: float, about: tuple[object, ...]) -> bool:
        """Return whether an accident happens now, and count it."""
        if self.is_healed or chance <= 0 or self.draw(kind, about) >= chance:
            return False
        self.struck[kind] += 1
        return True

    def happens_to_any(self, kind: str, chance: float, about: Sequence[tuple[object, ...]]) -> bool:
        """Return whether it happens to one of these; draws for all, whoever they are with."""
        happened = [self.happens(kind, chance, name) for name in about]
        return any(happened)

    def _number(self, kind: str, about: tuple[object, ...], count: int) -> float:
        text = repr((self.faults.seed, kind, about, count)).encode()
        return int.from_bytes(blake2b(text, digest_size=7).digest(), "big") / 2**56


class FaultyBackend:
    """A backend whose commits and announcements suffer the faults; all else is as it was."""

    def __init__(self, inner: HasRecordStore, faults: Faults) -> None:
        """Stand between the engine and `inner`."""
        self.crashed = asyncio.Event()
        self._inner = inner
        self._chance = Chance(faults)
        self._queue = FaultyQueue(inner.work_queue, self._chance)
        self._store = FaultyStore(inner.record_store, self._chance, self._queue, self.crashed.set)

    def __getattr__(self, name: str) -> Any:
        """Have every other port of the backend as well."""
        return getattr(self._inner, name)

    @property
    def struck(self) -> Counter[str]:
        """How often each kind of accident has happened."""
        return self._chance.struck

    @property
    def record_store(self) -> RecordStore:
        """The runs; commits may lose their answer, or the whole instance."""
        return cast("RecordStore", self._store)

    @property
    def work_queue(self) -> WorkQueue:
        """The queue rows; reads may leave out, repeat and hold back."""
        return cast("WorkQueue", self._queue)

    @property
    def history_store(self) -> HistoryStore:
        """The history, as it is."""
        return self._inner.history_store

    @property
    def lost_runs(self) -> LostRuns:
        """The reconciler's question, as it is."""
        return self._inner.lost_runs

    @property
    def hints(self) -> Hints | None:
        """The hints, as they are."""
        return self._inner.hints

    async def open(self) -> None:
        """Connect."""
        await self._inner.open()

    async def close(self) -> None:
        """Disconnect."""
        await self._inner.close()

    def watch(self, instance: Instance, restarts: int) -> None:
        """Know the instance, which a hand-over in memory must not bypass the faults in."""
        self._store.instance = instance
        instance.identity.repeat_draws(self._chance.faults.seed + restarts)

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self._chance.is_healed = True

    def source(self, connector: Connector) -> Connector:
        """Return a connector whose events may come twice."""
        return FaultyConnector(connector, self._chance)


class FaultyStore:
    """A record store in whose commits an answer may get lost, or the instance may die."""

    def __init__(
        self,
        inner: RecordStore,
        chance: Chance,
        queue: FaultyQueue,
        crash: Callable[[], None],
    ) -> None:
        """Commit to `inner`; `crash` ends the instance."""
        self.instance: Instance | None = None
        self._inner = inner
        self._chance = chance
        self._queue = queue
        self._crash = crash
        self._lost: set[bytes] = set()

    def __getattr__(self, name: str) -> Any:
        """Have the rest of the port."""
        return getattr(self._inner, name)

    async def commit(
        self, writes: Sequence[Write], finished: Sequence[QueueKey] = ()
    ) -> Sequence[Result]:
        """Commit, unless the instance dies before; it may also die after, or hear nothing."""
        chance, faults = self._chance, self._chance.faults
        about = [_about_write(write) for write in writes]
        if chance.happens_to_any("crash before", faults.crash / 2, about):
            await self._die()
        results = await self._inner.commit(writes, finished)
        if chance.happens_to_any("crash after", faults.crash / 2, about):
            await self._die()
        if not self._has_lost(writes) and chance.happens_to_any("drop answer", faults.drop, about):
            self._lost.update(write.write_id for write in writes)
            raise OutcomeUnknownError("the answer of the commit was lost, as the faults want it")
        for write in writes:
            self._lose_hand_over(write)
        return results

    def _has_lost(self, writes: Sequence[Write]) -> bool:
        """Return whether one of these is a repetition: its answer is not lost a second time.

        The engine backs off in real time, a little longer at each loss.
        """
        return any(write.write_id in self._lost for write in writes)

    async def _die(self) -> None:
        self._crash()
        await asyncio.get_running_loop().create_future()

    def _lose_hand_over(self, write: Write) -> None:
        """Have rows read from the queue that would have been handed over in memory."""
        reader = self.instance.reader if self.instance is not None else None
        for row in write.enqueue:
            receiver = reader.receiver(row.consumer) if reader is not None else None
            if receiver is None:
                continue
            if self._chance.happens("repeat", self._chance.faults.repeat, _about(row)):
                self._queue.repeat(row)
                receiver.is_behind = True
            elif self._chance.lateness(row) or self._chance.happens(
                "drop hand-over", self._chance.faults.drop, _about(row)
            ):
                receiver.is_behind = True


class FaultyQueue:
    """A queue whose reads leave rows out, give some twice, and know of some only later."""

    def __init__(self, inner: WorkQueue, chance: Chance) -> None:
        """Read `inner`."""
        self._inner = inner
        self._chance = chance
        self._again: dict[str, list[QueueRow]] = {}

    def __getattr__(self, name: str) -> Any:
        """Have the rest of the port."""
        return getattr(self._inner, name)

    def repeat(self, row: QueueRow) -> None:
        """Give a row once more at the next read, whatever became of it."""
        self._again.setdefault(row.consumer, []).append(row)

    async def due(self, wants: Sequence[Want], now: int) -> Sequence[QueueRow]:
        """Return due rows, less what is lost or late this time, and some of the last time."""
        chance, faults = self._chance, self._chance.faults
        found: dict[QueueKey, QueueRow] = {}
        for want in wants:
            for row in self._again.pop(want.consumer, []):
                if row.slot in want.slots and row.due_at <= now:
                    found[row.key] = row
        # What was left out the last time lies before the position that the reader is at.
        from_the_start = [want._replace(after=0) for want in wants]
        for row in await self._inner.due(from_the_start, now):
            is_late = row.due_at + chance.lateness(row) > now
            if is_late or chance.happens("drop", faults.drop, _about(row)):
                continue
            found[row.key] = row
            if chance.happens("repeat", faults.repeat, _about(row)):
                self.repeat(row)
        return list(found.values())

    async def next_due(self, consumers: Mapping[str, Sequence[int]]) -> Mapping[str, int]:
        """Return when each consumer's first row is announced."""
        if not self._chance.faults.delay or self._chance.is_healed:
            return await self._inner.next_due(consumers)
        wants = [Want(name, tuple(slots), 0, _EVERY_ROW) for name, slots in consumers.items()]
        found: dict[str, int] = {}
        for row in await self._inner.due(wants, _EVER):
            announced_at = row.due_at + self._chance.lateness(row)
            found[row.consumer] = min(announced_at, found.get(row.consumer, announced_at))
        return found


class FaultyConnector(Connector):
    """A source that gives some of its events twice."""

    def __init__(self, inner: Connector, chance: Chance) -> None:
        """Read `inner`."""
        self._inner = inner
        self._chance = chance

    async def open_receiver(self, name: str, /) -> ConnectorReceiver:
        """Return a receiver that repeats."""
        return FaultyConnectorReceiver(await self._inner.open_receiver(name), self._chance)


class FaultyConnectorReceiver(ConnectorReceiver):
    """A receiver that gives some of its events twice."""

    def __init__(self, inner: ConnectorReceiver, chance: Chance) -> None:
        """Read `inner`."""
        self._inner = inner
        self._chance = chance

    async def receive(self, max_events: int, /) -> Sequence[ConnectorEvent]:
        """Return events, some of them twice."""
        events: list[ConnectorEvent] = []
        for event in await self._inner.receive(max_events):
            is_repeated = self._chance.happens("event", self._chance.faults.repeat, (event.id,))
            events += [event, event] if is_repeated else [event]
        return events

    async def ack(self, events: Sequence[ConnectorEvent], /) -> None:
        """Acknowledge."""
        await self._inner.ack(events)

    async def close(self) -> None:
        """Close."""
        await self._inner.close()


def _about(row: QueueRow) -> tuple[object, ...]:
    """Name a row by what is the same in every process: run ids are not."""
    return (row.consumer, row.foreign_id, row.version, row.attempt)


def _about_write(write: Write) -> tuple[object, ...]:
    record = write.record
    return (record.workflow, record.foreign_id, record.version, record.attempt)
