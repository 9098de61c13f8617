"""SpawnPerformer: starts the children that a run's commit asked for, and cancels them with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from stepgraph.engine.announce import SpawnBody, encode_spawn
from stepgraph.engine.commit import Committer
from stepgraph.engine.handlers.row import Done, Move, Performer
from stepgraph.engine.moves import By, Creation, Moves
from stepgraph.engine.stored_definition import StoredMoves
from stepgraph.errors import DefinitionError, WorkflowError
from stepgraph.model.child_row import ChildEnd, ChildPlace, ChildRow
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Meta, Parent, Record, RunRef
from stepgraph.model.run_state import RunState
from stepgraph.model.staging import StagedChild
from stepgraph.model.topic import join_consumer
from stepgraph.model.write import Committed, InProgress, Refused, Write
from stepgraph.ports.child_store import ChildStore
from stepgraph.ports.clock import Clock
from stepgraph.ports.record_store import RecordStore
from stepgraph.ports.work_queue import WorkQueue

_PAGE = 100
_TRIES = 20
_BY = By("control", "spawn", "stepgraph: cancel_with_parent")
_decode = msgspec.msgpack.Decoder(SpawnBody).decode


class SpawnTools(NamedTuple):
    """What the performer works with."""

    store: RecordStore
    children: ChildStore
    queue: WorkQueue
    committer: Committer
    moves: StoredMoves
    clock: Clock


class SpawnPerformer(Performer):
    """Every part may be repeated: a child is created under its own id, and only while it is open.

    A cancelled parent's children that began meanwhile are found by whoever began them: they are
    created first and the parent is looked at afterwards, it is cancelled first and the children are
    looked at afterwards, so one of the two sees the other.
    """

    def __init__(self, tools: SpawnTools, max_attempts: int) -> None:
        """Start and cancel through `tools`."""
        self.max_attempts = max_attempts
        self._tools = tools

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Start the row's children, or cancel the next of the run's."""
        if record is None or not row.body:
            # Pruned, or its data was deleted before the children began.
            return None
        body = _decode(row.body)
        if body.children:
            return await self._start(row, record, body.children)
        return await self._cancel(row, record, body.after)

    async def _start(
        self, row: QueueRow, parent: Record, staged: Sequence[StagedChild]
    ) -> Move | None:
        tools = self._tools
        rows = await tools.children.find_children([child.run_id for child in staged])
        found = [(c, r) for c, r in zip(staged, rows, strict=True) if r is not None]
        is_refused = any(not r.is_open and r.run_state == 0 for _, r in found)
        ends: list[ChildEnd] = []
        begins: list[tuple[StagedChild, ChildRow]] = []
        for child, known in found:
            if not known.is_open:
                continue
            if child.is_cancelled_with_parent and parent.run_state == RunState.CANCELLED:
                ends.append(ChildEnd(child.run_id, child.status, 0))
            else:
                begins.append((child, known))
        error = await self._begin(parent, begins, ends)
        if ends:
            await tools.children.end(ends)
        if any(child.is_cancelled_with_parent for child, _ in begins):
            await self._look_at_parent(row, parent)
        if error is not None:
            raise error
        if ends or is_refused:
            # Whoever never begins has no end of its own that asks for the others.
            return Move(self._look_row(row))
        return None

    async def _begin(
        self,
        parent: Record,
        begins: Sequence[tuple[StagedChild, ChildRow]],
        ends: list[ChildEnd],
    ) -> Exception | None:
        """Create what can be, add to `ends` what cannot ever, and return what stopped another."""
        moves: dict[str, Moves | None] = {}
        error: Exception | None = None
        writes: list[Write] = []
        for child, known in begins:
            if child.workflow not in moves:
                moves[child.workflow] = await self._tools.moves.of(child.workflow)
            of_child = moves[child.workflow]
            if of_child is None:
                error = DefinitionError(
                    f"run {parent.run_id} has children in the workflow {child.workflow!r}, which"
                    " was never started on this record store: build and start it on the same"
                    " backend, then retry this letter"
                )
            elif not of_child.knows(child.status):
                error = DefinitionError(
                    f"a child of run {parent.run_id} begins in status {child.status}, which"
                    f" {child.workflow!r} does not have as it is now: release the code that has"
                    " it, then retry this letter"
                )
            else:
                writes.append(of_child.created(_creation(parent, child, known)))
        results = await asyncio.gather(*map(self._tools.committer.commit, writes))
        for write, result in zip(writes, results, strict=True):
            record = write.record
            if isinstance(result, InProgress):
                ends.append(ChildEnd(record.run_id, record.status, 0, result.run_id))
            elif isinstance(result, Refused):
                error = result.error
        return error

    async def _look_at_parent(self, row: QueueRow, parent: Record) -> None:
        """Have the children cancelled that began while their parent was."""
        (now,) = await self._tools.store.lookup_many([parent.ref])
        if now is not None and now.run_state == RunState.CANCELLED:
            due_at = self._tools.clock.microseconds()
            again = replace(
                row, id=f"{row.id}/cancel", due_at=due_at, attempt=0, body=encode_spawn(SpawnBody())
            )
            await self._tools.queue.put([(None, again)])

    def _look_row(self, row: QueueRow) -> QueueRow:
        now = self._tools.clock.microseconds()
        consumer = join_consumer(row.workflow)
        return replace(row, consumer=consumer, due_at=now, attempt=0, version=0, body=b"")

    async def _cancel(self, row: QueueRow, parent: Record, after: ChildPlace | None) -> Move | None:
        """Cancel one page of children, and leave a row for the next."""
        if parent.run_state < RunState.CANCELLED:
            return None
        tools = self._tools
        page = await tools.children.list_children(parent.run_id, after, _PAGE, only_waiting=False)
        wanted = [r for r in page if r.is_open and r.is_cancelled_with_parent]
        await asyncio.gather(*(self._cancel_child(parent, child) for child in wanted))
        if len(page) < _PAGE:
            return None
        last = page[-1].place
        body = encode_spawn(SpawnBody((), last))
        row_id = f"{parent.run_id}/{row.version}/cancel/{last.progress_version}/{last.number}"
        due_at = tools.clock.microseconds()
        return Move(replace(row, id=row_id, due_at=due_at, attempt=0, body=body))

    async def _cancel_child(self, parent: Record, child: ChildRow) -> None:
        """Cancel a child if it has begun and is open; what has not begun is looked at then."""
        moves = await self._tools.moves.of(child.workflow)
        ref = RunRef(child.workflow, child.foreign_id, child.run_id)
        for _ in range(_TRIES):
            (record,) = await self._tools.store.lookup_many([ref])
            if moves is None or record is None or not record.is_open:
                return
            reason = f"its parent {parent.run_id} was cancelled"
            write = moves.cancelled(record, reason, record.object, _BY, ())
            if isinstance(await self._tools.committer.commit(write), Committed):
                return
        raise WorkflowError(f"child {child.run_id} moves too fast to be cancelled; trying again")


def _creation(parent: Record, child: StagedChild, known: ChildRow) -> Creation:
    of = Parent(
        parent.workflow, parent.foreign_id, parent.run_id, known.progress_version, known.number
    )
    meta = Meta(trace_origin=child.origin, trace_parent=parent.meta.trace_parent, parent=of)
    return Creation(
        child.run_id, child.foreign_id, child.status, child.object, meta, None, is_keyed=True
    )
