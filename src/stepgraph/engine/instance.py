"""Instance: what this process runs on one backend, shared by all workflows that are built on it.

One committer, one queue reader with its pulse, one registry of waiters, one lease.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any

from stepgraph.definition import Definition
from stepgraph.engine.awaiting import Awaiting
from stepgraph.engine.backlog import BacklogCounter
from stepgraph.engine.children import Children
from stepgraph.engine.commit import Committer
from stepgraph.engine.consume import Consumer
from stepgraph.engine.membership import Membership
from stepgraph.engine.observers import Observers
from stepgraph.engine.queue_reader import QueueReader
from stepgraph.engine.row_mover import RowMover
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.threads import Threads
from stepgraph.errors import NotOpenError
from stepgraph.model.fact import RunMoved, RunsMoved
from stepgraph.model.queue import QueueRow
from stepgraph.model.write import Write
from stepgraph.ports.backend import Backend, HasRecordStore, HasRoleScheduler
from stepgraph.ports.backlog import HasBacklog
from stepgraph.ports.clock import Clock
from stepgraph.ports.identity import Identity
from stepgraph.ports.log import Log

_PULSE_SECONDS = 1.0
_DRAIN_SECONDS = 2.0
_HINT_SECONDS = 0.005


class Instance:
    """The engine's side of one opened backend, within one event loop."""

    def __init__(self, backend: HasRecordStore, clock: Clock, name: str) -> None:
        """Make the parts; `open` starts them. Its id is `name` and a random tail."""
        self.backend = backend
        self.clock = clock
        self.identity = Identity()
        self.id = f"{name}/{self.identity.run_id(clock.microseconds())[-12:]}"
        self.loop = asyncio.get_running_loop()
        self.log = Log(instance=self.id)
        self.observers = Observers(self.log)
        self.consumers: list[Consumer] = []
        self.tasks = Tasks(self.log)
        self.threads = Threads()
        self.store = backend.record_store
        self.committer = Committer(self.store, self._committed, self.observers.everyone, self.log)
        self.reader = QueueReader(backend.work_queue, clock, _PULSE_SECONDS, self.log)
        self.mover = RowMover(backend.work_queue, self.tasks, self._expect, self.log)
        self.awaiting = Awaiting(self.store, self.log)
        self.counter: BacklogCounter | None = None
        if isinstance(backend, HasBacklog):
            self.counter = BacklogCounter(backend.backlog, clock, lambda: self.consumers, self.log)
        self.users: dict[int, str] = {}
        self.definitions: dict[str, Definition[Any, Any]] = {}
        self.children = Children(backend.child_store, self.store, self.definitions)
        self._backends: list[Backend] = []
        self._memberships: dict[int, Membership] = {}
        self._hint_timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the backend and start what serves every workflow."""
        await self.open_backend(self.backend)
        self.committer.start(self.tasks)
        self.tasks.start(self.reader.fetch(), "fetch queue rows")
        self.tasks.start(self.reader.pulse(), "pulse")
        self.tasks.start(self.awaiting.run(), "look up awaited runs")
        if self.counter is not None:
            self.tasks.start(self.counter.run(), "count the queue")
        if self.backend.hints is not None:
            self.tasks.start(self.backend.hints.listen(self.reader.wake_all), "listen for hints")

    async def open_backend(self, backend: Backend) -> None:
        """Open a backend once."""
        if not any(opened is backend for opened in self._backends):
            self._backends.append(backend)
            await backend.open()

    async def membership(self, backend: HasRoleScheduler) -> Membership:
        """Return this instance's lease at a role scheduler, joined at the first call."""
        found = self._memberships.get(id(backend))
        if found is None:
            await self.open_backend(backend)
            found = Membership(backend.role_scheduler, self.id, self.tasks, self.log)
            self._memberships[id(backend)] = found
            await found.start()
        return found

    async def abandon(self) -> None:
        """Stop everything as it stands, as the end of the process would."""
        await self.tasks.close()
        self.committer.abandon()
        await self._disconnect()

    async def close(self) -> None:
        """Stop everything, commit what is under way, end the leases, close the backends.

        A store that is away must not keep the process alive: what it has not answered in time is
        left, and done again by whoever comes next.
        """
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self.committer.drained()
        except TimeoutError:
            self.log.warning("the store has not answered every commit at the end")
        if self._hint_timer is not None:
            self._hint_timer.cancel()
        await self.tasks.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        for membership in self._memberships.values():
            await membership.close()
        self.threads.close()
        for backend in reversed(self._backends):
            await backend.close()

    def _expect(self, row: QueueRow) -> None:
        """Know that a row was put into the queue."""
        receiver = self.reader.receiver(row.consumer)
        if receiver is None or row.slot not in receiver.inbox.slots:
            self._hint_soon()
        elif row.due_at <= self.clock.microseconds():
            receiver.wake()
        else:
            self.reader.expect(row.due_at)

    def wake_all(self) -> None:
        """Know that rows were put into the queue, here or for others."""
        self.reader.wake_all()
        self._hint_soon()

    def _committed(self, writes: Sequence[Write], sent_at: float) -> None:
        """Hand what was committed to whoever here goes on with it, and hint at the rest.

        What was not due when it was written, or waits for a time that somebody asked for, is left
        to the store, whose clock has a say in it.
        """
        receiver_of = self.reader.receivers.get
        is_elsewhere = False
        for write in writes:
            for row in write.enqueue:
                receiver = receiver_of(row.consumer)
                if receiver is None or row.slot not in receiver.inbox.slots:
                    is_elsewhere = True
                elif row.due_at <= write.record.updated_at and write.record.next != "delay":
                    receiver.hand_over(row, write.record, sent_at)
                else:
                    self.reader.expect(row.due_at)
        self.awaiting.committed(writes)
        if self.observers.by_workflow:
            self._tell_moves(writes)
        if is_elsewhere:
            self._hint_soon()

    def _tell_moves(self, writes: Sequence[Write]) -> None:
        found: dict[str, list[RunMoved]] = {name: [] for name in self.observers.by_workflow}
        for write in writes:
            history = write.history
            record = write.record
            if history is None or history.attempt or record.workflow not in found:
                continue
            failure = history.failure
            found[record.workflow].append(
                RunMoved(
                    record.workflow, record.run_id, record.version, record.status,
                    record.run_state, history.previous_run_state,
                    "" if failure is None else failure.error_type,
                    record.created_at, history.at, record.meta.trace_parent,
                )
            )  # fmt: skip
        for workflow, moves in found.items():
            if moves:
                self.observers.by_workflow[workflow].tell(RunsMoved(workflow, tuple(moves)))

    def _hint_soon(self) -> None:
        if self.backend.hints is not None and self._hint_timer is None:
            self._hint_timer = self.loop.call_later(_HINT_SECONDS, self._hint)

    def _hint(self) -> None:
        self._hint_timer = None
        if self.backend.hints is not None:
            self.tasks.start(self.backend.hints.tell(), "hint")


class _Opened:
    """An instance and how many workflows use it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.users = 0
        self.lock = asyncio.Lock()
        self.is_closing = False
        self.closed = asyncio.Event()


# Two workflows on one backend have nothing in common but the backend object, so it is the key; with
# the process, because what a parent has open is not open in its child. The entry of an instance
# keeps its backend alive, so an id is never that of another one.
_opened: dict[tuple[int, int], _Opened] = {}


def open_instances() -> tuple[str, ...]:
    """Return the ids of the instances that are open in this process."""
    return tuple(opened.instance.id for opened in _opened_here())


def open_workflows() -> frozenset[tuple[int, str]]:
    """Return what is open in this process, numbered: for whoever looks for what was left open."""
    return frozenset(
        (number, f"workflow {name!r} on instance {opened.instance.id}")
        for opened in _opened_here()
        for number, name in list(opened.instance.users.items())
    )


def _opened_here() -> list[_Opened]:
    here = os.getpid()
    return [opened for (process, _), opened in list(_opened.items()) if process == here]


def default_instance_name() -> str:
    """Return the host's name and the process id."""
    return f"{socket.gethostname()}-{os.getpid()}"


async def enter_instance(backend: HasRecordStore, clock: Clock, name: str) -> Instance:
    """Return the instance of a backend, opened if this is its first user."""
    key = (os.getpid(), id(backend))
    while True:
        found = _opened.get(key)
        if found is None:
            # Threads with a loop each may come here at once: one of them wins, in one operation.
            found = _opened.setdefault(key, _Opened(Instance(backend, clock, name)))
        instance = found.instance
        if instance.loop is not asyncio.get_running_loop():
            raise NotOpenError(
                f"this {type(backend).__name__} is open in another event loop of this process, by"
                " an async workflow or a blocking one: give each loop a backend object of its own"
            )
        if not found.is_closing:
            break
        await found.closed.wait()
    found.users += 1
    try:
        async with found.lock:
            if found.users == 1 and not instance.tasks.has_any:
                await instance.open()
    except BaseException:
        await leave_instance(instance)
        raise
    return instance


async def leave_instance(instance: Instance) -> None:
    """Close the instance with its last user."""
    key = (os.getpid(), id(instance.backend))
    found = _opened.get(key)
    if found is None or found.instance is not instance:
        return
    found.users -= 1
    if found.users == 0:
        found.is_closing = True
        try:
            await instance.close()
        finally:
            del _opened[key]
            found.closed.set()


async def abandon_instance(instance: Instance) -> None:
    """Drop the instance under all of its users at once."""
    key = (os.getpid(), id(instance.backend))
    found = _opened.get(key)
    if found is None or found.instance is not instance or found.is_closing:
        return
    found.is_closing = True
    try:
        await instance.abandon()
    finally:
        del _opened[key]
        found.closed.set()
