"""Runs: the runs of one workflow, as they are stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, final

from stepgraph.definition import Definition
from stepgraph.engine.control import Action, Order, obey
from stepgraph.engine.snapshot import snapshot_of
from stepgraph.engine.supervisor import Supervisor
from stepgraph.errors import InputError, RunNotFoundError, UnavailableError, WorkflowError
from stepgraph.model.history_entry import Attempt, HistoryEntry
from stepgraph.model.identifier import check_id, check_run_id
from stepgraph.model.instant import to_datetime, to_instant
from stepgraph.model.record import Record
from stepgraph.model.record_filter import Page, RecordFilter
from stepgraph.model.run import Snapshot
from stepgraph.model.run_state import RunState

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
_PAGE = 100
_COUNT_LIMIT = 10_000


class RunFilter(TypedDict, Generic[S], total=False):
    """Which runs; absent keys do not filter, several values of one key are alternatives."""

    foreign_id: str
    status: S | Sequence[S]
    run_state: RunState | Sequence[RunState]
    created_after: datetime
    created_before: datetime


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What a bulk action did: to how many runs, and to which it could not, with the reason."""

    done: int
    refused: Sequence[tuple[str, str]]


@final
class Runs(Generic[O, S]):
    """Reads and controls the runs of one workflow, while the workflow or a client is open."""

    def __init__(self, definition: Definition[O, S], supervisor: Callable[[], Supervisor]) -> None:
        """Read through what `supervisor` returns, which raises `NotOpenError` if nothing is."""
        self._definition = definition
        self._supervisor = supervisor

    async def record(self, run_id: str) -> Record:
        """Return a run as it is stored; raises `RunNotFoundError`."""
        check_run_id(run_id)
        store = self._supervisor().instance.store
        ref = await store.find(run_id)
        if ref is not None and ref.workflow == self._definition.name:
            (record,) = await store.lookup_many([ref])
            if record is not None:
                return record
        raise RunNotFoundError(run_id)

    async def get(self, run_id: str) -> Snapshot[O, S]:
        """Return the run with this id. Raises `RunNotFoundError`."""
        return snapshot_of(self._definition, await self.record(run_id))

    async def latest(self, foreign_id: str) -> Snapshot[O, S] | None:
        """Return the open run of this foreign id, else the one that was triggered last."""
        store = self._supervisor().instance.store
        check_id("foreign id", foreign_id)
        record = await store.latest(self._definition.name, foreign_id)
        return snapshot_of(self._definition, record) if record is not None else None

    async def find(
        self,
        *,
        order: Literal["asc", "desc"] = "desc",
        limit: int | None = None,
        **wanted: Unpack[RunFilter[S]],
    ) -> AsyncIterator[Snapshot[O, S]]:
        """Iterate over all runs that fit, read page by page, in the order of their triggering."""
        store = self._supervisor().instance.store
        record_filter = self._filter(wanted)
        after: str | None = None
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = Page(limit=size, is_descending=order == "desc", after=after)
            records = await store.list_records(record_filter, page)
            for record in records:
                yield snapshot_of(self._definition, record)
            if len(records) < size:
                return
            after = records[-1].run_id
            left = None if left is None else left - len(records)

    async def count(self, **wanted: Unpack[RunFilter[S]]) -> int:
        """Return how many runs fit; exact up to 10,000, then 10,000."""
        store = self._supervisor().instance.store
        return await store.count(self._filter(wanted), _COUNT_LIMIT)

    async def history(self, run_id: str) -> list[HistoryEntry[S]]:
        """Return every committed version, oldest first. Raises `RunNotFoundError`."""
        await self.record(run_id)
        rows = await self._supervisor().instance.backend.history_store.history(run_id)
        return [
            HistoryEntry(
                version=row.version,
                status=self._definition.status_type(row.status),
                run_state=RunState(row.run_state),
                cause=row.cause,
                actor=row.actor,
                reason=row.reason,
                role=row.role,
                instance=row.instance,
                attempt=row.try_number,
                at=to_datetime(row.at),
            )
            for row in rows
        ]

    async def attempts(self, run_id: str) -> list[Attempt]:
        """Return every failed try, oldest first. Raises `RunNotFoundError`."""
        await self.record(run_id)
        rows = await self._supervisor().instance.backend.history_store.attempts(run_id)
        return [
            Attempt(
                number=row.try_number,
                error_type=row.failure.error_type,
                message=row.failure.message,
                traceback=row.failure.traceback,
                at=to_datetime(row.at),
                next_at=None if row.failure.next_at is None else to_datetime(row.failure.next_at),
            )
            for row in rows
            if row.failure is not None
        ]

    async def pause(
        self, run: str | Snapshot[O, S], reason: str, *, actor: str = ""
    ) -> Snapshot[O, S]:
        """Hold an open run, and return it as it is then.

        A run id means the run as it is now; a Snapshot means it as it was seen, and raises
        `VersionConflictError` if it has moved since. When this returns no step of the run will
        commit until it is resumed; one that is at work is told, and its answer is dropped.
        `actor` is kept in the history. Raises `RunNotFoundError`, and `InvalidRunStateError` for a
        run that is paused or has ended.
        """
        return await self._obey("pause", run, reason, actor)

    async def resume(self, run: str | Snapshot[O, S], *, actor: str = "") -> Snapshot[O, S]:
        """Let a paused run go on. A wait that a step or a trigger asked for goes on too."""
        return await self._obey("resume", run, "", actor)

    async def retry(self, run: str | Snapshot[O, S], *, actor: str = "") -> Snapshot[O, S]:
        """Do the next attempt now instead of when it is due; resumes what errors have paused.

        Raises `InvalidRunStateError` for a run that was paused on purpose, has ended, or is in a
        status without a step.
        """
        return await self._obey("retry", run, "", actor)

    async def cancel(
        self, run: str | Snapshot[O, S], reason: str, *, actor: str = ""
    ) -> Snapshot[O, S]:
        """End an open run here; its foreign id is free for another. See `pause`."""
        return await self._obey("cancel", run, reason, actor)

    async def delete_data(
        self, run: str | Snapshot[O, S], reason: str, *, actor: str = ""
    ) -> Snapshot[O, S]:
        """Ask for the object of a finished run to be deleted wherever Stepgraph stored it.

        The run is then RequestedDataDeleted, and about a minute later DataDeleted. Foreign id,
        statuses and times stay. What the run's steps gave to other systems, and its children, are
        not covered. Raises `InvalidRunStateError` for a run that has not ended.
        """
        return await self._obey("delete data", run, reason, actor)

    async def pause_all(
        self, reason: str, *, actor: str = "", **wanted: Unpack[RunFilter[S]]
    ) -> BulkReport:
        """Pause every run that fits, in bounded batches; each succeeds or is refused by itself."""
        return await self._obey_all(Order("pause", reason, actor, None), wanted)

    async def resume_all(self, *, actor: str = "", **wanted: Unpack[RunFilter[S]]) -> BulkReport:
        """Resume every run that fits."""
        return await self._obey_all(Order("resume", "", actor, None), wanted)

    async def retry_all(self, *, actor: str = "", **wanted: Unpack[RunFilter[S]]) -> BulkReport:
        """Do the next attempt of every run that fits now: after an outage."""
        return await self._obey_all(Order("retry", "", actor, None), wanted)

    async def cancel_all(
        self, reason: str, *, actor: str = "", **wanted: Unpack[RunFilter[S]]
    ) -> BulkReport:
        """Cancel every run that fits."""
        return await self._obey_all(Order("cancel", reason, actor, None), wanted)

    async def delete_data_all(
        self, reason: str, *, actor: str = "", **wanted: Unpack[RunFilter[S]]
    ) -> BulkReport:
        """Ask for the data of every run that fits to be deleted."""
        return await self._obey_all(Order("delete data", reason, actor, None), wanted)

    async def _obey(
        self, action: Action, run: str | Snapshot[O, S], reason: str, actor: str
    ) -> Snapshot[O, S]:
        if isinstance(run, str):
            run_id, seen = run, None
        else:
            run_id, seen = run.id, run.version
        order = Order(action, reason, actor, seen)
        return await obey(self._supervisor(), order, lambda: self.record(run_id))

    async def _obey_all(self, order: Order, wanted: RunFilter[Any]) -> BulkReport:
        """Go through the runs in the order of their ids, a page at a time, each page at once."""
        supervisor = self._supervisor()
        record_filter = self._filter(wanted)
        done = 0
        refused: list[tuple[str, str]] = []
        after: str | None = None
        while True:
            page = Page(limit=_PAGE, is_descending=False, after=after)
            records = await supervisor.instance.store.list_records(record_filter, page)
            ids = [record.run_id for record in records]
            answers = await asyncio.gather(
                *(obey(supervisor, order, partial(self.record, i)) for i in ids),
                return_exceptions=True,
            )
            for run_id, answer in zip(ids, answers, strict=True):
                if not isinstance(answer, BaseException):
                    done += 1
                elif isinstance(answer, WorkflowError) and not isinstance(answer, UnavailableError):
                    refused.append((run_id, str(answer)))
                else:
                    raise answer
            if len(records) < _PAGE:
                return BulkReport(done, tuple(refused))
            after = ids[-1]

    def _filter(self, wanted: RunFilter[Any]) -> RecordFilter:
        after, before = wanted.get("created_after"), wanted.get("created_before")
        foreign_id = wanted.get("foreign_id")
        if foreign_id is not None:
            check_id("foreign id", foreign_id)
        return RecordFilter(
            workflow=self._definition.name,
            foreign_id=foreign_id,
            statuses=_numbers(wanted.get("status")),
            run_states=_numbers(wanted.get("run_state")),
            created_after=_instant("created_after", after),
            created_before=_instant("created_before", before),
        )


def _instant(name: str, moment: datetime | None) -> int | None:
    """Return the instant of a bound; raises `InputError` for a datetime without a zone."""
    if moment is None:
        return None
    try:
        return to_instant(moment)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def _numbers(values: IntEnum | Sequence[IntEnum] | None) -> tuple[int, ...]:
    """Return one value or several as numbers."""
    if values is None:
        return ()
    if isinstance(values, IntEnum):
        return (int(values),)
    return tuple(int(value) for value in values)
