"""Consumer: the one consuming loop; role + receivers + handler + options."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from stepgraph.engine.inbox import BATCH, Inbox
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.fact import Fact, LagAlert, ProcessChanged, ProcessFailed
from stepgraph.model.process_state import ProcessState
from stepgraph.model.slot import group_of
from stepgraph.ports.clock import Clock, pause_seconds

_logger = logging.getLogger("stepgraph.engine")
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
        group_count: int,
        lag_alert: int,
        observe: Callable[[Fact], None] | None,
    ) -> None:
        """Consume as `name`, in `group_count` groups of slots; `lag_alert` is in microseconds."""
        self.name = name
        self.workflow = workflow
        self.inbox = inbox
        self.group_count = group_count
        self.handler: Handler | None = None
        self.receivers: list[Receiver] = []
        self._process_name = process_name
        self._clock = clock
        self._lag_alert = lag_alert
        self._is_alerted = False
        self._observe = observe
        self._states: dict[int, ProcessState] = {}

    def start(self, tasks: Tasks) -> None:
        """Consume in the background until the tasks are closed."""
        for group in range(1, self.group_count + 1):
            self._change(group, ProcessState.IDLE)
        tasks.start(self._consume(), f"consume {self.name}")

    async def _consume(self) -> None:
        back_off = _FIRST_BACK_OFF
        while True:
            batch = await self.inbox.take(BATCH)
            self._look_at_lag(batch[0])
            try:
                if self.handler is not None:
                    await self.handler.handle(batch)
            except UnavailableError as error:
                self._fail(error)
                await pause_seconds(back_off)
                back_off = min(_LAST_BACK_OFF, back_off * 2)
                self.wake()
            except Exception as error:
                _logger.exception("consumer %s failed; its work comes again", self.name)
                self._fail(error)
                for work in batch:
                    self.inbox.release(work)
                await pause_seconds(back_off)
                back_off = min(_LAST_BACK_OFF, back_off * 2)
                self.wake()
            else:
                back_off = _FIRST_BACK_OFF

    def _fail(self, error: Exception) -> None:
        _logger.warning("consumer %s backs off: %s", self.name, error)
        if self._observe is not None:
            self._observe(ProcessFailed(self.workflow, self._process_name, type(error).__name__))

    def _look_at_lag(self, oldest: Work) -> None:
        """Raise the alert while the oldest work is older than it should be."""
        if not self._lag_alert:
            return
        lag = self._clock.microseconds() - oldest.due_at if oldest.due_at else 0
        is_late = lag > self._lag_alert
        if is_late is self._is_alerted:
            return
        self._is_alerted = is_late
        if is_late:
            _logger.warning("%s is %.0f s behind", self.name, lag / 1e6)
        if self._observe is not None:
            self._observe(LagAlert(self.workflow, self._process_name, is_late, lag / 1e6))

    def wake(self) -> None:
        """Let every receiver look."""
        for receiver in self.receivers:
            receiver.wake()

    def hold(self, slots: frozenset[int], slot_count: int) -> None:
        """Work on exactly these slots from now on; what is begun on others goes on to its end."""
        gained = slots - frozenset(self.inbox.slots)
        self.inbox.slots = slots
        for group in range(1, self.group_count + 1):
            is_held = any(group_of(s, self.group_count, slot_count) == group for s in slots)
            self._change(group, ProcessState.RUNNING if is_held else ProcessState.IDLE)
        if gained:
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

    def _change(self, group: int, state: ProcessState) -> None:
        if self._states.get(group) is state:
            return
        self._states[group] = state
        if self._observe is not None:
            self._observe(ProcessChanged(self.workflow, self.process_name(group), state.name))

    def process_name(self, group: int) -> str:
        """Return how people call one group of this consumer."""
        return f"{self._process_name}-{group}-of-{self.group_count}"

    def processes(self) -> dict[str, ProcessState]:
        """Return the state of each group."""
        return {self.process_name(group): state for group, state in self._states.items()}
