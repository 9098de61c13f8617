"""Publish events as the other system does: one of them twice, and one that cannot be read."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from examples.connector.flow import welcomes
from stepgraph import ConnectorEvent, DeadLetter
from stepgraph.adapters.memory import Memory, MemoryConnector


def signed_up(number: int, name: str) -> ConnectorEvent:
    """Return an event as the other system makes it."""
    payload = json.dumps({"name": name}).encode()
    return ConnectorEvent(f"event-{number}", f"member-{number}", "signed-up", payload)


async def main() -> None:
    """Let the events come, and look what became of them."""
    members = MemoryConnector()
    workflow = welcomes.build(
        Memory(), connectors={"members": members}, retry=timedelta(milliseconds=10)
    )
    async with workflow:
        ada, alan = signed_up(1, "Ada"), signed_up(2, "Alan")
        broken = ConnectorEvent("event-3", "member-3", "signed-up", b"{")
        await members.publish(ada, broken, alan, ada)

        letters: list[DeadLetter] = []
        while not letters or await workflow.runs.count() < 2:
            await asyncio.sleep(0.01)
            letters = [letter async for letter in workflow.dead_letters.find()]
        async for found in workflow.runs.find(order="asc"):
            run = await workflow.await_status(found.id, within=timedelta(seconds=10))
            member = run.object
            print(f"{run.foreign_id}: {run.status.name}, {member.name} got {member.mails} mail")
        for letter in letters:
            error = letter.error.partition(":")[0]
            print(f"parked: {letter.subject} after {letter.attempts} attempts, {error}")


if __name__ == "__main__":
    asyncio.run(main())
