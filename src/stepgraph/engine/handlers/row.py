"""RowHandler: does what queue rows ask for; each is done, put off, moved, retried or parked."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from stepgraph.engine.commit import Answer, Committer
from stepgraph.engine.inbox import Inbox
from stepgraph.engine.row_mover import RowMover
from stepgraph.engine.runners import Runner, Runners
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.fact import AttemptFailed, Fact, RowParked
from stepgraph.model.identifier import cut_text
from stepgraph.model.instant import to_microseconds
from stepgraph.model.options import StepSettings
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record, RunRef
from stepgraph.model.write import Committed, Refused, Write
from stepgraph.ports.clock import Clock
from stepgraph.ports.identity import Identity
from stepgraph.ports.log import Log
from stepgraph.ports.record_store import RecordStore
from stepgraph.ports.work_queue import WorkQueue

_FRESH_SECONDS = 1.0


class Move(Struct, frozen=True):
    """The row that takes the place of the one that was worked on; not a failed attempt.

    Where it waits for something that may have happened while it was moved, `still_waits` is asked
    with the run once more afterwards.
    """

    row: QueueRow
    still_waits: Callable[[Record | None], bool] | None = None


class Park(Struct, frozen=True):
    """The row is given up on, for a reason that a person reads."""

    reason: str


Done: TypeAlias = Write | Move | Park | None
"""What became of a row: a write that deletes it, another row, a dead letter, or nothing is left."""


class Performer(Protocol):
    """What a row means."""

    max_attempts: int
    """After so many failed attempts `give_up` is asked; 0 never gives up."""

    @abstractmethod
    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Do what the row asks for, for the run as it is now; None if there is no such run.

        A write that loses leads to another call. Raising is a failed attempt.
        """
        ...

    def give_up(self, row: QueueRow, record: Record | None, error: BaseException) -> Done:
        """Say what becomes of a row that failed once too often: it is parked, with its error."""
        del row, record
        return Park(f"{type(error).__name__}: {error}")


class RowTools(NamedTuple):
    """What a row handler works with."""

    store: RecordStore
    queue: WorkQueue
    committer: Committer
    inbox: Inbox
    tasks: Tasks
    mover: RowMover
    clock: Clock
    identity: Identity
    observe: Callable[[Fact], None] | None
    process_of: Callable[[int], str]
    log: Log


class RowHandler:
    """Performs many rows at once; a failing one waits apart and holds up no other."""

    def __init__(
        self,
        name: tuple[str, str],
        performer: Performer,
        settings: StepSettings,
        tools: RowTools,
    ) -> None:
        """Work under the `name` of a workflow and a process."""
        self.workflow, self.process = name
        self._performer = performer
        self._settings = settings
        self._tools = tools
        self._time_limit = settings.time_limit.total_seconds()
        self._runners: Runners[Work] = Runners(settings.concurrency, self._work, tools.tasks)
        self._running: dict[str, Work] = {}
        self._loop = asyncio.get_running_loop()

    async def handle(self, batch: list[Work]) -> None:
        """Look up the runs that the rows are about, and begin."""
        about = [work for work in batch if work.row is not None and work.row.run_id]
        try:
            records = await self._tools.store.lookup_many([work.ref for work in about])
        except UnavailableError:
            for work in batch:
                self._tools.inbox.release(work)
            raise
        now = self._loop.time()
        for work, record in zip(about, records, strict=True):
            work.record = record
            work.loaded_at = now
        self._runners.push(batch)
        await self._runners.begun()

    async def _work(self, work: Work, runner: Runner) -> None:
        row = work.row
        if work.stop_reason or row is None:
            self._tools.inbox.release(work)
            return
        work.task = runner
        work.started_at = self._loop.time()
        self._running[work.id] = work
        try:
            record = await self._fresh(work, row)
            async with asyncio.timeout(self._time_limit):
                done = await self._performer.perform(row, record)
            self._settle(work, row, done)
        except asyncio.CancelledError as error:
            if not work.stop_reason and not (runner is not None and runner.cancelling()):
                # Nobody cancelled this task: the function itself raised it.
                await self._failed(work, row, error)
                return
            self._tools.inbox.release(work)
            if not work.stop_reason:
                raise
            while runner is not None and runner.cancelling():
                runner.uncancel()
        except UnavailableError as error:
            kind = type(error).__name__  # a user's function may have raised it
            self._tools.log.warning("%s waits for the store", self.process, error=kind)
            self._tools.inbox.release(work)
        except (Exception, SystemExit) as error:  # whatever the user's function raises
            await self._failed(work, row, error)
        finally:
            work.task = None
            self._running.pop(work.id, None)

    async def _run_of(self, row: QueueRow) -> Record | None:
        """Return the run that a row is about: by its id, else the foreign id's."""
        if not row.run_id:
            return await self._tools.store.latest(row.workflow, row.foreign_id)
        (record,) = await self._tools.store.lookup_many(
            [RunRef(row.workflow, row.foreign_id, row.run_id)]
        )
        return record

    async def _fresh(self, work: Work, row: QueueRow) -> Record | None:
        """Return the run as it is now; what was looked up long ago is looked up again."""
        if row.run_id and self._loop.time() - work.loaded_at > _FRESH_SECONDS:
            (work.record,) = await self._tools.store.lookup_many([work.ref])
        return work.record

    def _settle(self, work: Work, row: QueueRow, done: Done) -> None:
        tools = self._tools
        if done is None:
            # In hand until it is gone from the store: else it would be fetched once more.
            if work.key is None:
                tools.inbox.finish(work)
            else:
                tools.committer.finish(work.finished, lambda: tools.inbox.finish(work))
        elif isinstance(done, Move):
            tools.mover.move(work.key, done.row, lambda: self._moved(work, done))
        elif isinstance(done, Park):
            tools.tasks.start(self._park(work, row, done.reason), "park a row")
        else:
            tools.committer.submit(done, self._committed, work)

    def _moved(self, work: Work, done: Move) -> None:
        self._tools.inbox.finish(work)
        if done.still_waits is not None:
            self._tools.tasks.start(self._look_again(done), "look again")

    async def _look_again(self, done: Move) -> None:
        """Whoever ends the wait looks for waiting rows; of the two one always sees the other."""
        row = done.row
        try:
            record = await self._run_of(row)
        except UnavailableError:
            # What ended the wait has its own row, or the wait ends by itself.
            return
        if done.still_waits is not None and not done.still_waits(record):
            now = self._tools.clock.microseconds()
            self._tools.mover.move(row.key, replace(row, due_at=now), lambda: None)

    def _committed(self, work: Work, _: Write, answer: Answer) -> None:
        row = work.row
        if type(answer) is Committed:
            self._tools.inbox.finish(work)
        elif isinstance(answer, Refused) and row is not None:
            self._tools.tasks.start(self._failed(work, row, answer.error), "count a refusal")
        else:
            # The run moved on meanwhile, or the store is away: the row is read again soon.
            self._tools.inbox.release(work)
            self._loop.call_later(0, self._tools.inbox.ask)

    async def _failed(self, work: Work, row: QueueRow, error: BaseException) -> None:
        attempt = row.attempt + 1
        self._tell(row, attempt, error)
        if self._performer.max_attempts and attempt >= self._performer.max_attempts:
            self._settle(work, row, self._performer.give_up(row, work.record, error))
            return
        delay = self._settings.retry.delay(attempt, self._tools.identity.draw())
        due_at = self._tools.clock.microseconds() + to_microseconds(delay)
        self._settle(work, row, Move(replace(row, attempt=attempt, due_at=due_at)))

    def _tell(self, row: QueueRow, attempt: int, error: BaseException) -> None:
        kind = type(error).__name__
        self._tools.log.warning(
            "%s failed for run %s (attempt %d)", self.process, row.run_id or "none yet", attempt,
            run_id=row.run_id, attempt=attempt, error=kind,
        )  # fmt: skip
        if self._tools.observe is not None:
            process = self._tools.process_of(row.slot)
            self._tools.observe(AttemptFailed(self.workflow, row.run_id, process, attempt, kind))

    async def _park(self, work: Work, row: QueueRow, reason: str) -> None:
        try:
            now = self._tools.clock.microseconds()
            if work.key is None:
                await self._tools.queue.put([(None, row)])
            await self._tools.queue.park([row], cut_text(reason), now)
        except UnavailableError:
            self._tools.inbox.release(work)
        else:
            # The id of the row may be an outside event's, and so a word about a person.
            text = "%s gave up on one of its rows: see the dead letters"
            self._tools.log.error(text, self.process, run_id=row.run_id)
            if self._tools.observe is not None:
                self._tools.observe(RowParked(self.workflow, self._tools.process_of(row.slot)))
            self._tools.inbox.finish(work)

    def stop(self, reason: str, slots: frozenset[int] | None = None) -> None:
        """Drop what nobody has begun, and interrupt what runs; of these slots, or of all."""
        for work in self._runners.clear():
            if slots is None or work.slot in slots:
                self._tools.inbox.release(work)
            else:
                self._runners.push([work])
        for work in list(self._running.values()):
            if (slots is None or work.slot in slots) and not work.stop_reason:
                work.stop_reason = reason
                if work.task is not None:
                    work.task.cancel()
