"""A trial of two weeks: a reminder after ten days, the end after fourteen, or a subscription."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Literal

from stepgraph import Builder, Run, Skip, Snapshot


class Status(IntEnum):
    """How far a customer is."""

    TRYING = 1
    SUBSCRIBED = 2
    LAPSED = 3


@dataclass
class Trial:
    """Somebody's trial."""

    mail: str
    extra_days: int = 0
    log: list[str] = field(default_factory=list)


trials = Builder("trials", Trial, Status)


# A timer counts from the instant at which the run came into the status. It is stored with the run:
# it survives restarts, waits while the run is paused, and is gone when the run has moved on.
@trials.timeout(Status.TRYING, after=timedelta(days=10))
async def remind(run: Run[Trial, Status], *, outbox: list[str]) -> Skip:
    """Write a mail. `Skip()` changes nothing: the run stays, and the other timer goes on."""
    outbox.append(f"{run.object.mail}: four days left on {run.now():%d %B}")
    return Skip()


def end_of_trial(run: Snapshot[Trial, Status]) -> datetime:
    """Return when a trial ends. What depends on the run is a function of it."""
    return run.entered_at + timedelta(days=14 + run.object.extra_days)


@trials.timeout(Status.TRYING, after=end_of_trial)
async def lapse(run: Run[Trial, Status]) -> Literal[Status.LAPSED]:
    """End it."""
    run.object.log.append(f"lapsed on {run.now():%d %B}")
    return Status.LAPSED


@trials.callback(Status.TRYING)
async def subscribe(run: Run[Trial, Status], payload: bytes) -> Literal[Status.SUBSCRIBED]:
    """Go on for good."""
    run.object.log.append(f"subscribed on {run.now():%d %B}")
    return Status.SUBSCRIBED
