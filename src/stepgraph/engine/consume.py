"""Consumer: the one consuming loop; role + receivers + handler + options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from stepgraph.engine.inbox import BATCH, Inbox
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.fact import (
    EventsConsumed,
    Fact,
    LagAlert,
    LagMeasured,
    ProcessChanged,
    ProcessFailed,
    QueueCounted,
    SlotsHeld,
)
from stepgraph.model.process_state import ProcessState
from stepgraph.model.slot import group_of
from stepgraph.ports.backlog import Waiting
from stepgraph.ports.clock import Clock, pause_seconds
from stepgraph.ports.log import Log

_FIRST_BACK_OFF, _LAST_BACK_OFF = 0.05, 5.0


class Handler(Protocol):
    """What work means."""

    async def handle(self, batch: list[Work]) -> None:
        """Begin a batch; each piece is finished or released through the inbox, now or later.

        Raises `UnavailableError` if the world outside is away; the whole batch is released then.
        """
        ...

    def stop(self, reason: str, slots: frozenset[int] | None = None) -> None:
        """Drop what was handed over: of these slots, or of all."""
        ...


class Receiver(Protocol):
    """Feeds an inbox."""

    def wake(self) -> None:
        """Know that there may be work, or that the slots have changed."""
        ...


@runtime_checkable
class Foreign(Protocol):
    """A receiver that holds events which are not queue rows of the store."""

    def unfinished(self) -> str:
        """Say what it could do at this instant; empty if nothing."""
        ...

    def next_due(self) -> int | None:
        """Return when the next event that it holds back is due."""
        ...


class Consumer:
    """Takes work from its inbox and hands it to its handler, for the slots that it holds."""

    def __init__(
        self,
        name: str,
        workflow: str,
        inbox: Inbox,
        clock: Clock,
        *,
        process_name: str,
        is_split: bool,
        group_count: int,
        slot_count: int,
        lag_alert: int,
        observe: Callable[[Fact], None] | None,
        log: Log,
    ) -> None:
        """Consume as `name`, in `group_count` groups of slots; `lag_alert` is in microseconds.

        Where the work can be split (`is_split`), each group is a process with its number.
        """
        self.name = name
        self.workflow = workflow
        self.inbox = inbox
        self.group_count = group_count
        self.handler: Handler | None = None
        self.receivers: list[Receiver] = []
        self._process_name = process_name
        self._is_split = is_split
        self._clock = clock
        self._lag_alert = lag_alert
        self._lag = 0
        self._is_alerted = False
        self._observe = observe
        self._states: dict[int, ProcessState] = {}
        self._groups = tuple(group_of(slot, group_count, slot_count) for slot in range(slot_count))
        names = {group: self.process_name(group) for group in self._groups}
        self._processes = tuple(names[group] for group in self._groups)
        self._log = log.about(workflow, process_name)
        self._loop = asyncio.get_running_loop()
        self._ended: dict[str, list[float]] = {name: [] for name in names.values()}
        self._has_ended = False
        if observe is not None:
            inbox.on_finish = self._finished

    @property
    def is_observed(self) -> bool:
        """Return whether anybody is told of this consumer."""
        return self._observe is not None

    def process_of(self, slot: int) -> str:
        """Return the process that works on a slot."""
        return self._processes[slot]

    def start(self, tasks: Tasks) -> None:
        """Consume in the background until the tasks are closed."""
        for group in range(1, self.group_count + 1):
            self._change(group, ProcessState.IDLE)
        tasks.start(self._consume(), f"consume {self.name}")

    async def _consume(self) -> None:
        back_off = _FIRST_BACK_OFF
        while True:
            batch = await self.inbox.take(BATCH)
            self._look_at(batch)
            try:
                if self.handler is not None:
                    await self.handler.handle(batch)
            except UnavailableError as error:
                self._log.warning("consumer %s backs off", self.name, error=error)
                self._fail(batch, error)
                await pause_seconds(back_off)
                back_off = min(_LAST_BACK_OFF, back_off * 2)
                self.wake()
            except Exception as error:
                self._log.error("consumer %s failed; its work comes again", self.name, error=error)
                self._fail(batch, error)
                for work in batch:
                    self.inbox.release(work)
                await pause_seconds(back_off)
                back_off = min(_LAST_BACK_OFF, back_off * 2)
                self.wake()
            else:
                back_off = _FIRST_BACK_OFF
            # Hundreds of objects would else be kept until the next work comes.
            batch = []

    def _fail(self, batch: list[Work], error: Exception) -> None:
        if self._observe is not None:
            process = self._processes[batch[0].slot]
            self._observe(ProcessFailed(self.workflow, process, type(error).__name__))

    def _look_at(self, batch: list[Work]) -> None:
        """Measure how late the oldest work of a batch is, and from when on each is worked on."""
        oldest = batch[0].due_at
        if self._observe is not None:
            now = self._loop.time()
            for work in batch:
                work.started_at = now
        if self._lag_alert or self._observe is not None:
            self._measured(max(0, self._clock.microseconds() - oldest) if oldest else 0)

    def look_at_queue(self, next_due: int | None) -> None:
        """Know the due instant of the oldest row: what is not in hand yet may be late, too.

        While only what is in hand is due, the lag stays what it was when that arrived.
        """
        now = self._clock.microseconds()
        in_hand = min((w.due_at for w in self.inbox.in_hand.values() if w.due_at), default=None)
        if next_due is not None and next_due < (now if in_hand is None else in_hand):
            self._measured(now - next_due)
        elif in_hand is None:
            self._measured(0)

    def _measured(self, lag: int) -> None:
        """Take a new lag in microseconds; the alert is raised while it is above its limit."""
        if lag != self._lag:
            self._lag = lag
            self._tell_held(lambda process: LagMeasured(self.workflow, process, lag / 1e6))
        is_late = bool(self._lag_alert) and lag > self._lag_alert
        if is_late is self._is_alerted:
            return
        self._is_alerted = is_late
        if is_late:
            self._log.warning("%s is %.0f s behind", self.name, lag / 1e6)
        self._tell_held(lambda process: LagAlert(self.workflow, process, is_late, lag / 1e6))

    def _tell_held(self, fact: Callable[[str], Fact]) -> None:
        """Tell a fact of each process whose role is held here."""
        if self._observe is not None:
            for group, state in self._states.items():
                if state is ProcessState.RUNNING:
                    self._observe(fact(self.process_name(group)))

    def _finished(self, work: Work) -> None:
        """Note how long some work took; what ends in this turn of the loop is told together."""
        if not self._has_ended:
            self._has_ended = True
            self._loop.call_soon(self._tell_ended)
        # Numbers alone: a tuple for each would make the garbage collector run more often.
        self._ended[self._processes[work.slot]].append(self._loop.time() - work.started_at)

    def _tell_ended(self) -> None:
        self._has_ended = False
        for process, seconds in self._ended.items():
            if seconds and self._observe is not None:
                self._observe(EventsConsumed(self.workflow, process, tuple(seconds)))
                seconds.clear()

    def counted(self, waiting: Mapping[int, Waiting]) -> None:
        """Tell how much waits for each process, by slot."""

        def of(process: str) -> QueueCounted:
            found = [w for slot, w in waiting.items() if self._processes[slot] == process]
            due, parked = sum(w.due for w in found), sum(w.parked for w in found)
            return QueueCounted(self.workflow, process, due, parked)

        self._tell_held(of)

    def wake(self) -> None:
        """Let every receiver look."""
        for receiver in self.receivers:
            receiver.wake()

    def hold(self, slots: frozenset[int]) -> None:
        """Work on exactly these slots from now on; what is begun on others goes on to its end."""
        is_changed = slots != frozenset(self.inbox.slots)
        self.inbox.slots = slots
        if not slots:
            self._lag, self._is_alerted = 0, False
        for group in range(1, self.group_count + 1):
            held = sum(self._groups[slot] == group for slot in slots)
            self._change(group, ProcessState.RUNNING if held else ProcessState.IDLE)
            self._tell_slots(group, held)
        if is_changed:
            self.wake()

    def lose(self, slots: frozenset[int], reason: str) -> None:
        """Drop the work of slots: somebody else may have them now."""
        self.inbox.drop_ready(slots)
        if self.handler is not None:
            self.handler.stop(reason, slots)

    async def emptied(self, slots: frozenset[int]) -> None:
        """Wait until nothing of these slots is in hand."""
        while any(work.slot in slots for work in list(self.inbox.in_hand.values())):
            await self.inbox.left()

    async def drain(self, seconds: float) -> None:
        """Take no new work, finish what is in hand within `seconds`, then tell it to stop."""
        self.inbox.is_closed = True
        self.inbox.drop_ready(None)
        try:
            async with asyncio.timeout(seconds):
                await self.inbox.emptied()
        except TimeoutError:
            if self.handler is not None:
                self.handler.stop("stop")

    def unfinished(self) -> list[str]:
        """Say in words what is in hand, and what foreign receivers could still do."""
        found = [
            f"{ref.foreign_id!r} ({ref.run_id or work.id}, version {work.version}) is in hand"
            for work in self.inbox.in_hand.values()
            for ref in (work.ref,)
        ]
        found += [r.unfinished() for r in self.receivers if isinstance(r, Foreign)]
        return [f"{self.name}: {text}" for text in found if text]

    def next_due(self) -> int | None:
        """Return when the next event that a foreign receiver holds back is due."""
        found = (r.next_due() for r in self.receivers if isinstance(r, Foreign))
        return min((due_at for due_at in found if due_at is not None), default=None)

    def shut(self) -> None:
        """Say that this consumer is no more."""
        for group in range(1, self.group_count + 1):
            self._change(group, ProcessState.SHUTDOWN)
            self._tell_slots(group, 0)

    def _change(self, group: int, state: ProcessState) -> None:
        before = self._states.get(group)
        if before is state:
            return
        self._states[group] = state
        if self._observe is None:
            return
        process = self.process_name(group)
        self._observe(ProcessChanged(self.workflow, process, state.name))
        if before is ProcessState.RUNNING:
            # Whoever holds the role now tells these; what was told here holds no longer.
            self._observe(LagMeasured(self.workflow, process, 0.0))
            self._observe(LagAlert(self.workflow, process, is_raised=False, lag_seconds=0.0))
            self._observe(QueueCounted(self.workflow, process, 0, 0))

    def _tell_slots(self, group: int, held: int) -> None:
        if self._observe is not None:
            total = self._groups.count(group)
            self._observe(SlotsHeld(self.workflow, self.process_name(group), held, total))

    def process_name(self, group: int) -> str:
        """Return how people call one group of this consumer."""
        if not self._is_split:
            return self._process_name
        return f"{self._process_name}-{group}-of-{self.group_count}"

    def processes(self) -> dict[str, ProcessState]:
        """Return the state of each group."""
        return {self.process_name(group): state for group, state in self._states.items()}
