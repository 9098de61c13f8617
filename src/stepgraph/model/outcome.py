"""Outcomes: what a function may answer beside a status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias, final


@final
@dataclass(frozen=True, slots=True)
class Pause:
    """Keep the object, stay in this status, and wait until somebody resumes the run."""

    reason: str


@final
@dataclass(frozen=True, slots=True)
class Cancel:
    """Keep the object and end the run here."""

    reason: str


@final
@dataclass(frozen=True, slots=True)
class Skip:
    """Change nothing, not even the object: something else will move the run."""


@final
@dataclass(frozen=True, slots=True)
class Repeat:
    """Save the object and call this step again, at once or `after` a while. Others go first."""

    after: timedelta = timedelta(0)


Outcome: TypeAlias = Pause | Cancel | Skip | Repeat
