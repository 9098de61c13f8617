"""RecordFilter: which records to list."""

from __future__ import annotations

from msgspec import Struct


class RecordFilter(Struct, frozen=True):
    """Empty fields do not filter; several values of one field are alternatives.

    `created_after` and `created_before` are exclusive instants.
    """

    workflow: str | None = None
    foreign_id: str | None = None
    statuses: tuple[int, ...] = ()
    run_states: tuple[int, ...] = ()
    created_after: int | None = None
    created_before: int | None = None


class Page(Struct, frozen=True):
    """Which page: runs after the run id `after` in the given order; ids are time-ordered."""

    limit: int = 25
    is_descending: bool = True
    after: str | None = None
