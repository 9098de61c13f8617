"""A report that is due every working day at nine in Amsterdam, whatever the clocks do there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Literal

from stepgraph import Builder, Run


class Status(IntEnum):
    """How far a report is."""

    DUE = 1
    COUNTED = 2
    SENT = 3


@dataclass
class Report:
    """A report about one day, or about one customer's."""

    about: str
    pages: int = 0


reports = Builder("reports", Report, Status)


# A schedule is a function from a slot to the object of the run that it starts. Nothing has to be
# called, and no process has to be "the scheduler": all instances agree on the slots, one of them
# decides each, and the decision is stored. None skips the slot. `catch_up` says what becomes of
# slots that came while no process ran, `overlap` what happens while the last run is still open.
@reports.schedule("0 9 * * MON-FRI", zone="Europe/Amsterdam", catch_up="latest", overlap="skip")
def daily(slot: datetime, *, holidays: frozenset[str]) -> Report | None:
    """Ask for the report of the day before, unless today nobody is there to read it."""
    if f"{slot:%m-%d}" in holidays:
        return None
    return Report(f"{slot - timedelta(days=1):%d %B}")


@reports.step(Status.DUE, retry=timedelta(minutes=10))
async def count(run: Run[Report, Status], *, outages: set[str]) -> Literal[Status.COUNTED]:
    """Count; if the figures are not there yet, the run tries again, and no slot is lost."""
    if run.object.about in outages and run.attempt == 1:
        raise ConnectionError("the figures are not there yet")
    run.object.pages = 3
    return Status.COUNTED


@reports.step(Status.COUNTED)
async def send(run: Run[Report, Status], *, outbox: list[str]) -> Literal[Status.SENT]:
    """Send it."""
    outbox.append(f"{run.object.about} at {run.now():%d %B %H:%M}")
    return Status.SENT
