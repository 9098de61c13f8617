"""ChildRow: what a store remembers of a run's child; and how a child ended."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class ChildRow(Struct, frozen=True, gc=False):
    """One child of a run; its key is `run_id`, the child's own.

    `progress_version` is the visit of the parent that staged it, `number` its place among that
    visit's children. While `is_open`, `status` is where it starts and `run_state` Initiated; after
    it they are what it ended with. `run_state` 0 says that it never was: its foreign id was in use
    by the run `in_use_by`, or its parent was cancelled before. `taken_version` is the version of
    the parent's join that was given this child, 0 before.
    """

    run_id: str
    parent_run_id: str
    progress_version: int
    number: int
    workflow: str
    foreign_id: str
    status: int
    is_cancelled_with_parent: bool = False
    run_state: int = 1
    is_open: bool = True
    in_use_by: str = ""
    taken_version: int = 0

    @property
    def place(self) -> ChildPlace:
        """Return where it stands among its parent's children."""
        return ChildPlace(self.progress_version, self.number, self.run_id)


class ChildPlace(NamedTuple):
    """The order of a run's children, and a position in it."""

    progress_version: int
    number: int
    run_id: str


class ChildEnd(NamedTuple):
    """How a child ended; `run_state` 0 if it never began."""

    run_id: str
    status: int
    run_state: int
    in_use_by: str = ""


class ChildProgress(NamedTuple):
    """How far those children of a run are that no join was given yet."""

    has_open: bool
    has_ended: bool
