"""StatusCount: how many runs are in a status, and a few of them."""

from __future__ import annotations

from msgspec import Struct


class StatusCount(Struct, frozen=True):
    """Runs of one workflow in one status; `run_ids` are the oldest and the newest, by id."""

    status: int
    count: int
    run_ids: tuple[str, ...]
