"""StepHandler: works on the runs of one status, many at once, one work a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from stepgraph.engine.commit import Answer, Committer, Pending
from stepgraph.engine.inbox import Inbox
from stepgraph.engine.runners import Runner, Runners
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.transition import Transition
from stepgraph.engine.work import Work
from stepgraph.errors import CodecError, UnavailableError
from stepgraph.model.fact import AttemptFailed, EventSkipped, Fact
from stepgraph.model.history import HistoryRow
from stepgraph.model.record import Record
from stepgraph.model.write import Committed, Conflict, Refused, Write
from stepgraph.ports.clock import pause_seconds
from stepgraph.ports.log import Log
from stepgraph.ports.record_store import RecordStore

_FRESH_SECONDS = 1.0
_STALE_READ_TRIES = 10
_STALE_READ_SECONDS = 0.5
_WATCH_SECONDS = 2.0


class Tools(NamedTuple):
    """What a handler works with."""

    store: RecordStore
    committer: Committer
    inbox: Inbox
    tasks: Tasks
    observe: Callable[[Fact], None] | None
    is_rolling_out: Callable[[], bool]
    postpone: Callable[[Work], None]
    process_of: Callable[[int], str]
    log: Log


class StepHandler:
    """Looks runs up, hands them to the transition, and commits what comes of it."""

    def __init__(self, workflow: str, transition: Transition, tools: Tools) -> None:
        """Work on runs of `workflow`; `run` may be replaced by one that does more around it."""
        self.workflow = workflow
        self._transition = transition
        self.run: Callable[[Work, Record], Awaitable[Write | None]] = transition.run
        self._tools = tools
        settings = transition.call.settings
        self._time_limit = settings.time_limit.total_seconds()
        self._runners: Runners[Work] = Runners(settings.concurrency, self._work, tools.tasks)
        self._running: dict[str, Work] = {}
        self._loop = asyncio.get_running_loop()
        self._watch_timer: asyncio.TimerHandle | None = None
        self._watched_at = 0.0
        self._is_checking = False

    async def handle(self, batch: list[Work]) -> None:
        """Look up what came without its record, and begin."""
        missing = [work for work in batch if work.record is None]
        if missing:
            try:
                records = await self._tools.store.lookup_many([work.ref for work in missing])
            except UnavailableError:
                for work in batch:
                    self._tools.inbox.release(work)
                raise
            now = self._loop.time()
            for work, record in zip(missing, records, strict=True):
                work.record = record
                work.loaded_at = now
                work.is_fit = _is_about(work, record)
        self._runners.push(batch)
        if self._watch_timer is None:
            self._watched_at = self._loop.time()
            self._arm()
        await self._runners.begun()

    async def _work(self, work: Work, runner: Runner) -> None:
        """Work on one run, in a runner."""
        try:
            now = self._loop.time()
            record = work.record
            if not work.is_fit or now - work.loaded_at > _FRESH_SECONDS or work.stop_reason:
                record = await self._gate(work)
                now = self._loop.time()
            if record is None:
                return
            work.started_at = now
            work.task = runner
            self._running[work.id] = work
            try:
                write = await self.run(work, record)
            except CodecError as error:
                write = self._unreadable(work, record, error)
            finally:
                work.task = None
                self._running.pop(work.id, None)
            self._conclude(work, runner, write)
        except asyncio.CancelledError:
            self._tools.inbox.release(work)
            if not work.stop_reason:
                raise
            _go_on(runner)
        except UnavailableError:
            self._tools.inbox.release(work)
        except Exception as error:
            run_id = work.ref.run_id
            text = "work on run %s failed in the engine; it comes again"
            self._tools.log.error(text, run_id, run_id=run_id, error=error)
            self._tools.inbox.release(work)

    def _conclude(self, work: Work, runner: Runner, write: Write | None) -> None:
        """Commit what the function's answer means."""
        if work.stop_reason:
            _go_on(runner)
        if write is not None:
            answer, work.answer = work.answer, None
            if answer is None:
                self._tools.committer.submit(write, self._committed, work)
            else:
                pending = Pending(write, self._committed, work)
                self._tools.committer.settle(pending, answer, work.started_at)
        elif not work.is_postponed:
            self._tools.inbox.release(work)

    async def _gate(self, work: Work) -> Record | None:
        """Return the record to work on, or None if this work is over or not ours."""
        if work.stop_reason:
            self._tools.inbox.release(work)
            return None
        record = work.record
        if self._loop.time() - work.loaded_at > _FRESH_SECONDS:
            record = await self._reload(work)
        tries = 0
        while record is None or record.version < work.version:
            # A replica that lags behind answers so; a store restored from a backup for ever.
            if tries >= _STALE_READ_TRIES:
                self._drop(work, "record not found" if record is None else "stale record")
                return None
            tries += 1
            await pause_seconds(_STALE_READ_SECONDS)
            record = await self._reload(work)
        if record.version > work.version:
            self._drop(work, "event record version lower than latest record version")
            return None
        if record.attempt > work.attempt:
            self._drop(work, "attempt was made already")
            return None
        if record.run_state not in (1, 2) or record.next == "skipped":
            self._drop(work, "record stopped")
            return None
        return record

    async def _reload(self, work: Work) -> Record | None:
        (record,) = await self._tools.store.lookup_many([work.ref])
        work.record = record
        work.loaded_at = self._loop.time()
        return record

    def _drop(self, work: Work, reason: str) -> None:
        """Finish work that leads to nothing."""
        self._tell_skip(work, reason)
        if work.key is not None:
            self._tools.committer.finish([work.key])
        self._tools.inbox.finish(work)

    def _tell_skip(self, work: Work, reason: str) -> None:
        if self._tools.observe is not None:
            process = self._tools.process_of(work.slot)
            self._tools.observe(EventSkipped(self.workflow, process, reason))

    def _unreadable(self, work: Work, record: Record, error: CodecError) -> Write | None:
        """While another release of the code is live, an object it may have written is not ours."""
        if self._tools.is_rolling_out() and work.row is not None:
            work.is_postponed = True
            self._tell_skip(work, "unable to unmarshal object")
            self._tools.postpone(work)
            return None
        return self._transition.failed(work, record, error)

    def _committed(self, work: Work, write: Write, answer: Answer) -> None:
        """Take the answer to a write."""
        tools = self._tools
        if type(answer) is Committed:
            tools.inbox.finish(work)
            history = write.history
            if history is None:
                self._tell_skip(work, "next value specified skip")
            elif history.failure is not None:
                self._tell_failure(work, write.record.run_id, history)
        elif isinstance(answer, Conflict):
            self._drop(work, "another write came first")
        elif isinstance(answer, Refused) and work.record is not None:
            again = self._transition.failed(work, work.record, answer.error)
            tools.committer.submit(again, self._counted, work)
        else:
            tools.inbox.release(work)

    def _counted(self, work: Work, _: Write, answer: Answer) -> None:
        if type(answer) is Committed:
            self._tools.inbox.finish(work)
        else:
            self._tools.inbox.release(work)

    def _tell_failure(self, work: Work, run_id: str, history: HistoryRow) -> None:
        kind = history.failure.error_type if history.failure is not None else ""
        attempt = history.try_number
        process = self._tools.process_of(work.slot)
        text = "%s of run %s failed (attempt %d)"
        self._tools.log.warning(
            text, process, run_id, attempt, run_id=run_id, attempt=attempt, error=kind
        )
        if self._tools.observe is not None:
            self._tools.observe(AttemptFailed(self.workflow, run_id, process, attempt, kind))

    def _arm(self) -> None:
        """Look again soon: fine enough for short time limits, rare enough to cost nothing."""
        period = min(max(self._time_limit / 8, 0.01), _WATCH_SECONDS / 2)
        self._watch_timer = self._loop.call_later(period, self._watch)

    def _watch(self) -> None:
        """Stop what ran too long, and see whether the others' runs moved on meanwhile."""
        self._watch_timer = None
        now = self._loop.time()
        for work in list(self._running.values()):
            if now - work.started_at > self._time_limit:
                self._stop(work, "time limit")
        if now - self._watched_at >= _WATCH_SECONDS and not self._is_checking:
            self._watched_at = now
            old = [w for w in self._running.values() if now - w.started_at >= _WATCH_SECONDS]
            if old:
                self._is_checking = True
                self._tools.tasks.start(self._check_moved(old), "check for moved runs")
        if self._running or self._runners.backlog:
            self._arm()

    async def _check_moved(self, old: list[Work]) -> None:
        try:
            records = await self._tools.store.lookup_many([work.ref for work in old])
        except UnavailableError:
            return
        finally:
            self._is_checking = False
        for work, record in zip(old, records, strict=True):
            if record is None or record.version != work.version:
                self._stop(work, "moved")

    def _stop(self, work: Work, reason: str) -> None:
        """Tell a running function to stop; what ignores it ends, and its answer is dropped."""
        if work.stop_reason:
            return
        work.stop_reason = reason
        if work.run is not None:
            work.run.tell_stop(reason)
        if work.task is not None and self._transition.call.is_async:
            work.task.cancel()

    def stop(self, reason: str, slots: frozenset[int] | None = None) -> None:
        """Stop what runs, and drop what nobody has begun; of these slots, or of all."""
        for work in self._runners.clear():
            if slots is None or work.slot in slots:
                self._tools.inbox.release(work)
            else:
                self._runners.push([work])
        for work in list(self._running.values()):
            if slots is None or work.slot in slots:
                self._stop(work, reason)


def _is_about(work: Work, record: Record | None) -> bool:
    """Return whether the work is about a run just as it is stored."""
    return (
        record is not None
        and record.version == work.version
        and record.attempt == work.attempt
        and 1 <= record.run_state <= 2
        and record.next != "skipped"
    )


def _go_on(runner: Runner) -> None:
    """Let a runner go on: the cancellation was ours and is over."""
    while runner is not None and runner.cancelling():
        runner.uncancel()
