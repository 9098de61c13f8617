"""Workflow: a definition joined to a backend; and serve(), a worker's main."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from enum import IntEnum
from types import TracebackType
from typing import Any, Concatenate, Generic, Self, TypeVar, final, overload

from stepgraph.blocking import BlockingWorkflow
from stepgraph.dead_letters import DeadLetters
from stepgraph.definition import Definition, Deployment
from stepgraph.engine.awaiting import Waiter
from stepgraph.engine.bridge import Bridge
from stepgraph.engine.callback import Message
from stepgraph.engine.check import problems_of
from stepgraph.engine.commit import Answer
from stepgraph.engine.event_key import own_or_event_key
from stepgraph.engine.snapshot import snapshot_of
from stepgraph.engine.supervisor import Supervisor
from stepgraph.engine.trigger import (
    Wish,
    chunks,
    commit_of,
    origin_of_caller,
    run_id_of,
    write_of,
)
from stepgraph.errors import (
    DeadlineError,
    NotOpenError,
    RunEndedError,
    RunNotFoundError,
    WorkflowError,
)
from stepgraph.model.identifier import check_run_id
from stepgraph.model.problem import Problem
from stepgraph.model.process_state import ProcessState
from stepgraph.model.receipt import CallbackReceipt
from stepgraph.model.record import Record
from stepgraph.model.run import Run, Snapshot
from stepgraph.model.run_state import RunState
from stepgraph.model.trigger import Trigger, TriggerResult
from stepgraph.model.write import Write
from stepgraph.ports.tracer import TracedCall
from stepgraph.runs import Runs
from stepgraph.schedules import Schedules

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
T = TypeVar("T")
_CHUNK = 500


@final
class Workflow(Generic[O, S]):
    """A definition joined to a backend.

    Use it inside `async with workflow` (which works on runs) or `async with workflow.client()`
    (which does not); outside both every call raises `NotOpenError`.
    """

    def __init__(self, definition: Definition[O, S], deployment: Deployment) -> None:
        """Join; `Builder.build` is what calls this. Nothing is opened."""
        self.definition = definition
        self.name = definition.name
        self.runs: Runs[O, S] = Runs(definition, self.opened)
        self.dead_letters = DeadLetters(definition.name, self.opened)
        self.schedules: Schedules[O] = Schedules(definition.name, self.opened)
        self._deployment = deployment
        self._worker: Supervisor | None = None
        self._clients: list[Supervisor] = []

    def opened(self) -> Supervisor:
        """Return what runs this workflow here; for the test kit and the command line."""
        if self._worker is not None:
            return self._worker
        if self._clients:
            return self._clients[-1]
        raise NotOpenError(
            f"workflow {self.name!r} is not open: use it inside `async with workflow:`,"
            " or `async with workflow.client():` where no steps should run"
        )

    async def trigger(
        self,
        foreign_id: str,
        initial: O,
        *,
        status: S | None = None,
        idempotency_key: str | None = None,
        after: timedelta | datetime | None = None,
        connection: object | None = None,
    ) -> str:
        """Start a run and return its id.

        When it returns, the run is stored and will go on by itself. `status` is where it starts
        (the first starting status if None), `after` when (a delay, or an aware datetime). All
        calls with one `idempotency_key` start one run at most within `key_retention` after it
        ended, and return its id, also after it was pruned. With a `connection` of the store's
        driver in an open transaction the run is stored when that commits, if it does.

        Raises `InputError` before anything is written, `RunInProgressError` if the foreign id has
        an open run, `OutcomeUnknownError` if the store did not answer: repeat with the same key.
        """
        supervisor = self.opened()
        wish = Wish(foreign_id, initial, status, own_or_event_key(idempotency_key), after)
        origin = origin_of_caller()
        commit = commit_of(supervisor.instance, connection)
        if supervisor.tracing is None:
            write = write_of(supervisor, wish, origin)
            return run_id_of(write, await commit(write))
        with supervisor.tracing.span(TracedCall("trigger", self.name, self.name)) as ending:
            write = write_of(supervisor, wish, origin)
            ending.run_id = run_id_of(write, await commit(write))
            return ending.run_id

    async def trigger_many(
        self,
        triggers: Iterable[Trigger[O]] | AsyncIterable[Trigger[O]],
        *,
        status: S | None = None,
    ) -> list[TriggerResult]:
        """Start many runs in few writes; each succeeds or fails by itself.

        Results are in the order given. Takes any number: only a few hundred are under way at once.
        """
        supervisor = self.opened()
        origin = origin_of_caller()
        if isinstance(triggers, AsyncIterable):
            triggers = [trigger async for trigger in triggers]
        wishes = (
            Wish(t.foreign_id, t.initial, status, t.idempotency_key, t.after) for t in triggers
        )
        results: list[TriggerResult] = []
        with (
            nullcontext()
            if supervisor.tracing is None
            else supervisor.tracing.span(TracedCall("trigger", self.name, self.name))
        ):
            for chunk in chunks(wishes, _CHUNK):
                results += await _trigger_chunk(supervisor, chunk, origin)
        return results

    @overload
    async def callback(
        self,
        foreign_id: str,
        target: S,
        payload: object = b"",
        *,
        run_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> CallbackReceipt: ...
    @overload
    async def callback(
        self,
        foreign_id: str,
        target: Callable[Concatenate[Run[O, S], T, ...], Any],
        payload: T | bytes,
        *,
        run_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> CallbackReceipt: ...
    async def callback(
        self,
        foreign_id: str,
        target: Any,
        payload: object = b"",
        *,
        run_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> CallbackReceipt:
        """Tell the open run of a foreign id something, and return when it is committed.

        `target` is a callback function, or a status: then its callbacks are asked in order until
        one does not skip. `payload` is bytes, or a value of the type that the function declares;
        1 MiB fits. With `run_id` that run is meant and no other. All calls with one
        `idempotency_key` for one callback and foreign id apply once, and repeat the first answer.

        The function runs here, in the caller's process; what it raises is raised to the caller,
        and counts for nothing. If somebody else moves the run meanwhile, the function is called
        again, at most five times.

        Raises `PayloadError` before anything is written, `NotWaitingError` if the run is in
        another status, paused or over (unless the callback is declared with `buffer=`),
        `RunNotFoundError` for an unknown `run_id`, `VersionConflictError` after the fifth time,
        `OutcomeUnknownError` if the store did not answer: repeat with the same key.
        """
        callbacks = self.opened().callbacks
        message = Message(foreign_id, payload, run_id, own_or_event_key(idempotency_key))
        return await callbacks.tell(message, callbacks.find(target))

    async def await_status(
        self, run_id: str, *statuses: S, within: timedelta | None
    ) -> Snapshot[O, S]:
        """Wait until the run is, or has been, in one of the statuses; with none: until it ends.

        Returns the run as it is then, which may be further. Raises `RunNotFoundError`,
        `RunEndedError` if it ended without having been there, and `DeadlineError` past `within`
        (None waits for ever); the last two carry the run. Of a run that had a key and was pruned
        only how it ended is left: that is a `RunEndedError` without the run.
        """
        supervisor = self.opened()
        record = await self._present(run_id)
        waiter = Waiter(record.ref, record)
        wanted = frozenset(int(status) for status in statuses)
        supervisor.instance.awaiting.add(waiter)
        try:
            async with asyncio.timeout(None if within is None else within.total_seconds()):
                while not _has_come(waiter.record, wanted):
                    run_state = RunState(waiter.record.run_state)
                    if run_state.is_finished:
                        run = snapshot_of(self.definition, waiter.record)
                        raise RunEndedError(run_id, run_state, run)
                    waiter.changed.clear()
                    await waiter.changed.wait()
        except TimeoutError as error:
            raise DeadlineError(snapshot_of(self.definition, waiter.record)) from error
        finally:
            supervisor.instance.awaiting.remove(waiter)
        return snapshot_of(self.definition, waiter.record)

    async def _present(self, run_id: str) -> Record:
        """Return a run as it is stored; raises `RunEndedError` for one that was pruned."""
        check_run_id(run_id)
        try:
            return await self.runs.record(run_id)
        except RunNotFoundError as error:
            store = self.opened().instance.backend.retention_store
            (tombstone,) = await store.tombstones([run_id])
            if tombstone is None or tombstone.workflow != self.name:
                raise
            raise RunEndedError(run_id, RunState(tombstone.run_state)) from error

    async def start(self) -> None:
        """Connect, open the resources, and start every process. Returns when they run."""
        if self._worker is not None:
            raise NotOpenError(f"workflow {self.name!r} is started already")
        worker = Supervisor(self.definition, self._deployment, is_client=False, workflow=self)
        self._worker = worker
        try:
            await worker.open()
        except BaseException:
            self._worker = None
            raise

    async def stop(self) -> None:
        """Take no new work, finish what is in hand (at most `stop_within`), close everything.

        Raises `WorkflowError` where a step, hook or connector of the workflow itself calls it: it
        would wait for its own end.
        """
        worker = self._worker
        if worker is not None:
            if asyncio.current_task() in worker.running:
                raise WorkflowError(
                    f"a function of {self.name!r} cannot stop it: it would wait for itself."
                    " Set an event, and call stop() where start() was called"
                )
            try:
                await worker.close()
            finally:
                self._worker = None

    async def abandon(self) -> None:
        """Stop as if the process had died; for the test kit. Nothing is finished or committed.

        Calls that are under way raise `OutcomeUnknownError`.
        """
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.abandon()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Self]:
        """Open for a process that triggers, awaits and reads, but runs no steps."""
        client = Supervisor(self.definition, self._deployment, is_client=True, workflow=self)
        await client.open()
        self._clients.append(client)
        try:
            yield self
        finally:
            self._clients.remove(client)
            await client.close()

    async def check(self) -> Sequence[Problem]:
        """Return what would go wrong if this definition met the stored runs.

        It is what a `client()` of a new release asks before that release is started. Statuses that
        no run can reach or leave are found in the definition. Of the stored runs it looks at
        100,000 that are open and at the newest 50,000 that have ended, at most, and it reads the
        objects of the 5 oldest and 5 newest of each status among them; beyond that a count says
        "at least". It changes nothing.
        """
        return await problems_of(self.definition, self.opened().instance.backend)

    def blocking(self) -> BlockingWorkflow[O, S]:
        """Return the same client for code without async: Django and Flask views, scripts.

        Nothing is opened before the first call, and each process opens its own: a web server may
        make one before it forks. Any number of threads may share it. Every call waits for its
        answer, and raises `NotOpenError` in a thread that runs an event loop: there, use
        `client()`. Close it with `close()` or a `with` block; the end of the process does so too.
        """
        definition, deployment = self.definition, self._deployment
        bridge = Bridge(lambda: Workflow(definition, deployment).client())
        return BlockingWorkflow(self.name, bridge)

    def processes(self) -> Mapping[str, ProcessState]:
        """Return what each background process of this instance does; empty if none runs."""
        return self._worker.processes() if self._worker is not None else {}


def _has_come(record: Record, wanted: frozenset[int]) -> bool:
    """Return whether a run is where somebody waits for it, or has been there."""
    if not wanted:
        return RunState(record.run_state).is_finished
    return not wanted.isdisjoint(record.visited)


async def _trigger_chunk(
    supervisor: Supervisor, chunk: list[Wish], origin: str
) -> list[TriggerResult]:
    """Start one chunk of runs and wait for every answer."""
    answers: dict[int, TriggerResult] = {}
    all_there = asyncio.Event()

    def settle(place: int, result: TriggerResult) -> None:
        answers[place] = result
        if len(answers) == len(chunk):
            all_there.set()

    def done(place: int, write: Write, answer: Answer) -> None:
        foreign_id = write.record.foreign_id
        try:
            if isinstance(answer, WorkflowError):
                raise answer
            result = TriggerResult(foreign_id, run_id_of(write, answer))
        except WorkflowError as error:
            result = TriggerResult(foreign_id, write.record.run_id, error)
        settle(place, result)

    for place, wish in enumerate(chunk):
        try:
            write = write_of(supervisor, wish, origin)
        except WorkflowError as error:
            settle(place, TriggerResult(wish.foreign_id, "", error))
        else:
            supervisor.instance.committer.submit(write, done, place)
    await all_there.wait()
    return [answers[place] for place in range(len(chunk))]


async def serve(*workflows: Workflow[Any, Any]) -> None:
    """Start all, work until SIGTERM or SIGINT, then stop all: the main of a worker.

    Nothing else here handles signals. A second signal ends the process at once.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = (signal.SIGTERM, signal.SIGINT)

    def ask() -> None:
        asked.set()
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in handled:
        loop.add_signal_handler(number, ask)
    try:
        async with AsyncExitStack() as stack:
            for workflow in workflows:
                await stack.enter_async_context(workflow)
            await asked.wait()
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
