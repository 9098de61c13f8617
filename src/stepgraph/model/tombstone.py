"""Tombstone: what stays of a run that was created under a key and pruned."""

from __future__ import annotations

from msgspec import Struct


class Tombstone(Struct, frozen=True, gc=False):
    """Who the run was and how it ended; `until` is when this is forgotten too."""

    run_id: str
    workflow: str
    run_state: int
    until: int
