"""Start: what a run begins with, checked and encoded."""

from __future__ import annotations

from typing import NamedTuple


class Start(NamedTuple):
    """A run that may be started; `origin` is the line of code that asked for it."""

    workflow: str
    foreign_id: str
    status: int
    object: bytes
    origin: str
