"""Members sign up in another system, whose events start a welcome here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from stepgraph import Builder, ConnectorEvent, Run, RunInProgressError, Workflow


class Status(IntEnum):
    """How far the welcome is."""

    SIGNED_UP = 1
    GREETED = 2
    LEFT = 3


@dataclass
class Member:
    """Who is welcomed."""

    name: str
    mails: int = 0


welcomes = Builder("welcomes", Member, Status)


@welcomes.step(Status.SIGNED_UP)
async def greet(run: Run[Member, Status]) -> Literal[Status.GREETED]:
    """Send the mail."""
    run.object.mails += 1
    return Status.GREETED


# What stream this is, `build(connectors={"members": ...})` says: memory here and in tests, a
# broker's topic in production. Events of one foreign id are handled in their order.
@welcomes.connector("members", max_attempts=5)
async def member_changed(workflow: Workflow[Member, Status], event: ConnectorEvent) -> None:
    """Start a welcome for who signed up.

    `trigger` in here uses the event's id as its key: an event that is delivered again, now or
    after the run has ended, starts nothing. An event whose function raises is tried again apart
    from the others, and after five failures it is parked in `workflow.dead_letters`.
    """
    if event.type != "signed-up":
        return
    try:
        await workflow.trigger(event.foreign_id, Member(json.loads(event.payload)["name"]))
    except RunInProgressError:
        # Another event of this member is being worked off: this one has nothing to add.
        return
