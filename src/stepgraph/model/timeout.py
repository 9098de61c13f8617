"""Timeout: a wake-up promised to one entry of a run into a status."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class TimeoutKey(NamedTuple):
    """What names a timeout: creating it twice is creating it once."""

    run_id: str
    entered_version: int
    name: str


class Timeout(Struct, frozen=True, gc=False):
    """A timer of one visit. `due_at` is the instant that the user gave, rounded up."""

    workflow: str
    foreign_id: str
    run_id: str
    entered_version: int
    name: str
    status: int
    slot: int
    due_at: int
    attempt: int = 0

    @property
    def key(self) -> TimeoutKey:
        """Return what names this timeout."""
        return TimeoutKey(self.run_id, self.entered_version, self.name)
