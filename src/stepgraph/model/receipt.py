"""CallbackReceipt: what became of a callback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Effect: TypeAlias = Literal["applied", "skipped", "buffered", "repeated"]


@dataclass(frozen=True, slots=True)
class CallbackReceipt:
    """What became of a callback that somebody waits for; else `NotWaitingError` is raised.

    `applied`: its answer is stored, as `version` of the run. `skipped`: the function answered Skip
    and nothing changed. `repeated`: this key was applied before, as `version`. `buffered`: the
    payload is stored and applied once the run waits for it; run id and version are empty if there
    is no run yet.
    """

    run_id: str
    version: int
    effect: Effect
