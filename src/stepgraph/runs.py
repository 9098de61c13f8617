"""Runs: the runs of one workflow, as they are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, final

from stepgraph.definition import Definition
from stepgraph.engine.supervisor import Supervisor
from stepgraph.errors import CodecError, RunNotFoundError
from stepgraph.model.history_entry import Attempt, HistoryEntry
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


def snapshot_of(definition: Definition[O, S], record: Record) -> Snapshot[O, S]:
    """Return a stored run in the user's types; raises `CodecError` for what cannot be read."""
    try:
        status = definition.status_type(record.status)
    except ValueError as error:
        raise CodecError(
            f"run {record.run_id} is in status {record.status}, which"
            f" {definition.status_type.__name__} does not have"
        ) from error
    value = definition.codec.decode(record.object, definition.object_type)
    return Snapshot(record, status, value)


@final
class Runs(Generic[O, S]):
    """Reads the runs of one workflow. Usable while the workflow or a client of it is open."""

    def __init__(self, definition: Definition[O, S], supervisor: Callable[[], Supervisor]) -> None:
        """Read through what `supervisor` returns, which raises `NotOpenError` if nothing is."""
        self._definition = definition
        self._supervisor = supervisor

    async def record(self, run_id: str) -> Record:
        """Return a run as it is stored; raises `RunNotFoundError`."""
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

    def _filter(self, wanted: RunFilter[Any]) -> RecordFilter:
        after, before = wanted.get("created_after"), wanted.get("created_before")
        return RecordFilter(
            workflow=self._definition.name,
            foreign_id=wanted.get("foreign_id"),
            statuses=_numbers(wanted.get("status")),
            run_states=_numbers(wanted.get("run_state")),
            created_after=to_instant(after) if after is not None else None,
            created_before=to_instant(before) if before is not None else None,
        )


def _numbers(values: IntEnum | Sequence[IntEnum] | None) -> tuple[int, ...]:
    """Return one value or several as numbers."""
    if values is None:
        return ()
    if isinstance(values, IntEnum):
        return (int(values),)
    return tuple(int(value) for value in values)
