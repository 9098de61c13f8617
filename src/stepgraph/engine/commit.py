"""Committer: the one writer; what finishes while a commit is in flight goes into the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from stepgraph.engine.observers import Audience
from stepgraph.engine.tasks import Tasks
from stepgraph.errors import OutcomeUnknownError, RefusedError, UnavailableError
from stepgraph.model.fact import BatchCommitted, CommitFailed
from stepgraph.model.queue import QueueKey
from stepgraph.model.write import Busy, Committed, InProgress, Refused, Result, Write
from stepgraph.ports.clock import elapsed_seconds, pause_seconds
from stepgraph.ports.log import Log
from stepgraph.ports.record_store import RecordStore

MAX_WRITES = 500
MAX_BYTES = 4 * 1024 * 1024
LIMIT_SECONDS = 30.0
_BUSY_SECONDS = (0.001, 0.05)
_AWAY_SECONDS = (0.02, 1.0)

Answer: TypeAlias = Result | UnavailableError
T = TypeVar("T")


class Pending(Struct, eq=False):
    """A write on its way; `done` is called once with `about`, the write and its answer.

    `is_withdrawn` takes it back if it was not sent yet. `deadline` is set by the first call that
    fails, and is when the write is given up.
    """

    write: Write
    done: Callable[[Any, Write, Answer], None]
    about: Any
    is_withdrawn: bool = False
    is_doubtful: bool = False
    tries: int = 0
    refusals: int = 0
    deadline: float = 0.0

    def is_over(self) -> bool:
        """Return whether the write has been tried for long enough."""
        now = elapsed_seconds()
        if not self.deadline:
            self.deadline = now + LIMIT_SECONDS
        return now >= self.deadline


class Lane:
    """Writes of one kind, one call in flight; creates and changes have a lane each."""

    def __init__(self, committer: Committer, *, is_creating: bool) -> None:
        """Write through the store of `committer`."""
        self._committer = committer
        self._is_creating = is_creating
        self._pending: deque[Pending] = deque()
        self._sent: list[Pending] = []
        self._finished: list[QueueKey] = []
        self._gone: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._waiting = 0
        self._is_stirred = False

    def push(self, pending: Pending) -> None:
        """Put a write into the next call that has room for it."""
        self._pending.append(pending)
        if not self._is_stirred:
            self._stir()

    def finish(self, keys: Sequence[QueueKey], gone: Callable[[], None] | None) -> None:
        """Delete rows whose work came to nothing, with the next call."""
        self._finished.extend(keys)
        if gone is not None:
            self._gone.append(gone)
        self._stir()

    def _stir(self) -> None:
        self._is_stirred = True
        self._wake.set()
        self._idle.clear()

    @property
    def is_idle(self) -> bool:
        """Return whether everything that was pushed has its answer."""
        return self._idle.is_set()

    async def drained(self) -> None:
        """Wait until everything that was pushed has its answer."""
        await self._idle.wait()

    async def run(self) -> None:
        """Commit batches for ever."""
        while True:
            await self._wake.wait()
            batch = self._take()
            finished, self._finished = self._finished, []
            if batch or finished:
                gone, self._gone = self._gone, []
                self._sent = batch
                await self._commit(batch, finished)
                self._sent = []
                self._tell_gone(gone, finished)
                gone = []
            elif not self._pending:
                self._wake.clear()
                self._is_stirred = False
                if not self._waiting:
                    self._idle.set()

    def _tell_gone(self, gone: list[Callable[[], None]], finished: list[QueueKey]) -> None:
        """Say that rows are deleted; those of a call that failed go into the next one again."""
        if finished and self._finished[: len(finished)] == finished:
            self._gone[:0] = gone
            return
        for tell in gone:
            tell()

    def abandon(self) -> list[Pending]:
        """Give up everything that has no answer, and return it; the lane runs no more."""
        abandoned = [*self._sent, *self._pending]
        self._pending.clear()
        self._idle.set()
        return abandoned

    def _take(self) -> list[Pending]:
        """Take what one call may carry: at most one write of a run, or one create of an owner."""
        pending = self._pending
        if len(pending) <= MAX_WRITES:
            batch = list(pending)
            if self._fits(batch):
                pending.clear()
                return batch
        return self._choose()

    def _fits(self, batch: list[Pending]) -> bool:
        """Return whether a batch can go as it is, which is nearly always so."""
        records = [p.write.record for p in batch if not p.is_withdrawn]
        if len({record.run_id for record in records}) < len(batch):
            return False
        if self._is_creating and len({(r.workflow, r.foreign_id) for r in records}) < len(batch):
            return False
        if any(p.write.children for p in batch):
            return False
        return sum([len(record.object) for record in records]) <= MAX_BYTES

    def _choose(self) -> list[Pending]:
        """Take writes one by one; what must wait for the next call keeps its order."""
        batch: list[Pending] = []
        held: list[Pending] = []
        seen: set[Hashable] = set()
        size = 0
        pending = self._pending
        is_creating = self._is_creating
        while pending and len(batch) < MAX_WRITES and len(held) < MAX_WRITES:
            entry = pending.popleft()
            if entry.is_withdrawn:
                continue
            record = entry.write.record
            run_id = record.run_id
            if run_id in seen:
                held.append(entry)
                continue
            if is_creating:
                owner = (record.workflow, record.foreign_id)
                if owner in seen:
                    held.append(entry)
                    continue
                seen.add(owner)
            size += len(record.object)
            if entry.write.children:
                size += sum(len(row.body) for row in entry.write.enqueue)
            if size > MAX_BYTES and batch:
                held.append(entry)
                break
            seen.add(run_id)
            batch.append(entry)
        pending.extendleft(reversed(held))
        return batch

    async def _commit(self, batch: list[Pending], finished: list[QueueKey]) -> None:
        sent_at = self._committer.loop.time()
        try:
            results = await self._committer.send([p.write for p in batch], finished)
        except RefusedError as error:
            await self._halve(batch, finished, error)
        except UnavailableError as error:
            await self._wait_for_store(batch, finished, error)
        else:
            self._answer(batch, results, sent_at)

    async def _halve(
        self, batch: list[Pending], finished: list[QueueKey], error: RefusedError
    ) -> None:
        """Find the write that the store refuses: it alone gets the error."""
        if not batch:
            self._committer.log.error(
                "the store refuses to delete %d queue rows", len(finished), error=error
            )
            # Their work is done: as long as they are there, it would be done again.
            await self._wait_for_store([], finished, error)
            return
        if len(batch) == 1 and batch[0].refusals:
            self._answer(batch, [Refused(error)], 0.0)
            if finished:
                await self._commit([], finished)
            return
        if not batch[0].refusals:
            # A deadlock or a lock timeout is refused once and works the second time.
            for pending in batch:
                pending.refusals += 1
            await self._commit(batch, finished)
            return
        middle = len(batch) // 2
        await self._commit(batch[:middle], finished)
        await self._commit(batch[middle:], [])

    async def _wait_for_store(
        self, batch: list[Pending], finished: list[QueueKey], error: UnavailableError | RefusedError
    ) -> None:
        """Keep the same writes with the same ids for the next call, as long as their limit."""
        is_doubtful = isinstance(error, OutcomeUnknownError)
        kept: list[Pending] = []
        for pending in batch:
            pending.is_doubtful |= is_doubtful
            pending.tries += 1
            if not pending.is_over():
                kept.append(pending)
                continue
            kind = OutcomeUnknownError if pending.is_doubtful else UnavailableError
            self._committer.tell(pending, kind(str(error)))
        self._pending.extendleft(reversed(kept))
        self._finished[:0] = finished
        tries = min(batch[0].tries if batch else 1, 10)
        await pause_seconds(min(_AWAY_SECONDS[1], _AWAY_SECONDS[0] * 2**tries))

    def _answer(self, batch: list[Pending], results: Sequence[Result], sent_at: float) -> None:
        won: list[Write] = []
        for pending, result in zip(batch, results, strict=True):
            if type(result) is Committed:
                won.append(pending.write)
            elif type(result) is Busy:
                self._ask_again(pending)
                continue
            answer: Answer = result
            if pending.is_doubtful and isinstance(result, (InProgress, Refused)):
                # An earlier call of this write may still be executing, and win when the way is
                # free: only a version that has moved on shuts it out for good.
                answer = OutcomeUnknownError(_why(pending, result))
            try:
                pending.done(pending.about, pending.write, answer)
            except Exception as error:
                self._committer.drop(pending, error)
        if won:
            self._committer.committed(won, sent_at)

    def _ask_again(self, pending: Pending) -> None:
        if pending.is_over():
            text = f"run {pending.write.record.run_id} stayed locked by another session"
            kind = OutcomeUnknownError if pending.is_doubtful else UnavailableError
            self._committer.tell(pending, kind(text))
            return
        pending.tries += 1
        delay = min(_BUSY_SECONDS[1], _BUSY_SECONDS[0] * 2 ** min(pending.tries, 6))
        self._waiting += 1
        asyncio.get_running_loop().call_later(delay, self._push_again, pending)

    def _push_again(self, pending: Pending) -> None:
        self._waiting -= 1
        self.push(pending)


class Committer:
    """Groups the writes of all consumers and callers of one store in this process."""

    def __init__(
        self,
        store: RecordStore,
        committed: Callable[[Sequence[Write], float], None],
        audience: Audience,
        log: Log,
    ) -> None:
        """Write to `store`.

        `committed` is told the winners of each call and the loop's time when it was sent, after
        their answers.
        """
        self.log = log
        # Asking for the running loop costs a system call each time, so it is asked for once.
        self.loop = asyncio.get_running_loop()
        self._store = store
        self.committed = committed
        self._audience = audience
        self._creates = Lane(self, is_creating=True)
        self._changes = Lane(self, is_creating=False)

    def start(self, tasks: Tasks) -> None:
        """Run both lanes."""
        tasks.start(self._creates.run(), "commit creates")
        tasks.start(self._changes.run(), "commit changes")

    def submit(self, write: Write, done: Callable[[T, Write, Answer], None], about: T) -> Pending:
        """Commit `write` soon and call `done` with `about` and its answer, on the event loop."""
        pending = Pending(write, done, about)
        (self._changes if write.expected_version else self._creates).push(pending)
        return pending

    def settle(self, pending: Pending, answer: Answer, sent_at: float) -> None:
        """Take the answer to a write made in a user's transaction, which `sent_at` came before."""
        self.tell(pending, answer)
        if type(answer) is Committed:
            self.committed([pending.write], sent_at)

    def finish(self, keys: Sequence[QueueKey], gone: Callable[[], None] | None = None) -> None:
        """Delete queue rows whose work came to nothing, then call `gone`."""
        self._changes.finish(keys, gone)

    async def commit(self, write: Write) -> Result:
        """Commit `write` and return its result; raises `UnavailableError` past the limit.

        A cancelled caller's write is withdrawn if it was not sent yet; else it completes.
        """
        answer: asyncio.Future[Result] = self.loop.create_future()
        pending = self.submit(write, _resolve, answer)
        try:
            return await answer
        except asyncio.CancelledError:
            pending.is_withdrawn = True
            raise

    @property
    def is_idle(self) -> bool:
        """Return whether everything that was submitted has its answer."""
        return self._creates.is_idle and self._changes.is_idle

    async def drained(self) -> None:
        """Wait until everything that was submitted has its answer."""
        await self._creates.drained()
        await self._changes.drained()

    def abandon(self) -> None:
        """Tell everybody who waits for an answer that there will be none."""
        for pending in self._creates.abandon() + self._changes.abandon():
            self.tell(pending, OutcomeUnknownError("the process ended during the commit"))

    async def send(self, writes: Sequence[Write], finished: Sequence[QueueKey]) -> Sequence[Result]:
        """Make one call of the store."""
        if not self._audience.observers:
            return await self._store.commit(writes, finished)
        started = elapsed_seconds()
        try:
            results = await self._store.commit(writes, finished)
        except Exception as error:
            self._audience.tell(CommitFailed(len(writes), type(error).__name__))
            raise
        committed = sum([type(result) is Committed for result in results])
        seconds = elapsed_seconds() - started
        self._audience.tell(BatchCommitted(len(writes), committed, seconds))
        return results

    def tell(self, pending: Pending, answer: Answer) -> None:
        """Give a write its answer; an error in the taker must not harm the other takers."""
        try:
            pending.done(pending.about, pending.write, answer)
        except Exception as error:
            self.drop(pending, error)

    def drop(self, pending: Pending, error: Exception) -> None:
        """Log an error of a write's taker, which must not harm the other takers."""
        run_id = pending.write.record.run_id
        self.log.error("an answer for run %s was dropped", run_id, run_id=run_id, error=error)


def _resolve(answer: asyncio.Future[Result], _: Write, result: Answer) -> None:
    """Answer the caller that waits, if it still does."""
    if answer.done():
        return
    if isinstance(result, UnavailableError):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _why(pending: Pending, result: InProgress | Refused) -> str:
    """Say why a write that was sent before is left open."""
    record = pending.write.record
    found = (
        f"run {result.run_id} is open for {record.foreign_id!r}"
        if isinstance(result, InProgress)
        else f"the store refuses it now: {result.error}"
    )
    return f"an earlier call for run {record.run_id} was not answered and may yet happen; {found}"
