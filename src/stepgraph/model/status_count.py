"""StatusCount: how many runs are in a status, and a few of them."""

from __future__ import annotations

from msgspec import Struct

from stepgraph.model.record import RunRef


class StatusCount(Struct, frozen=True):
    """Runs of one workflow in one status; `runs` are the oldest and the newest, by id."""

    status: int
    count: int
    runs: tuple[RunRef, ...]
