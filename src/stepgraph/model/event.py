"""Event: "this run reached this version"; it names and never carries state."""

from __future__ import annotations

from msgspec import Struct


class Event(Struct, frozen=True, gc=False):
    """An announcement on a topic. Headers are ids and numbers only."""

    topic: str
    workflow: str
    foreign_id: str
    run_id: str
    version: int
    attempt: int = 0
    created_at: int = 0


class Delivery(Struct, frozen=True, gc=False):
    """An event as a receiver hands it out; `position` is the receiver's own name for it."""

    event: Event
    slot: int
    position: int
