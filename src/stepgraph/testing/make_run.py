"""make_run: a run for calling one of your functions directly, without any workflow."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

from stepgraph.model.record import Meta, Record
from stepgraph.model.run import Run
from stepgraph.model.work_name import WorkName
from stepgraph.testing.clock import FakeClock

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)


def make_run(
    initial: O,
    status: S,
    *,
    foreign_id: str = "test",
    attempt: int = 1,
    version: int = 1,
    clock: FakeClock | None = None,
) -> Run[O, S]:
    """Return a run in `status` with this object.

    `assert await charge(make_run(Order(5), Status.CREATED), psp=FakePsp()) is Status.PAID`. A
    callback takes its payload as it declares it: `await paid(make_run(...), Payment(5))`. `now()`
    is the clock's; runs of one foreign id and version have the same idempotency key, whatever
    the attempt. Raises `ValueError` for an attempt or a version below 1.
    """
    if attempt < 1 or version < 1:
        raise ValueError(f"attempts and versions count from 1: {attempt=}, {version=}")
    clock = clock if clock is not None else FakeClock()
    record = make_record(
        status, foreign_id=foreign_id, attempt=attempt, version=version, clock=clock
    )
    return Run(record, status, initial, WorkName("step", "", clock))


def make_record(
    status: IntEnum,
    *,
    foreign_id: str,
    attempt: int = 1,
    version: int = 1,
    clock: FakeClock | None = None,
) -> Record:
    """Return the record of a run in `status`, without its object."""
    now = (clock if clock is not None else FakeClock()).microseconds()
    return Record(
        run_id=f"run-of-{foreign_id}",
        workflow="test",
        foreign_id=foreign_id,
        status=status.value,
        run_state=1 if version == 1 else 2,
        version=version,
        attempt=attempt - 1,
        progress_version=version,
        entered_version=version,
        entered_at=now,
        created_at=now,
        updated_at=now,
        due_at=now,
        next="step",
        write_id=b"",
        visited=(status.value,),
        meta=Meta(),
        object=b"",
    )
