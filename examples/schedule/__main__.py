"""Let a week and a half pass under the clock of the test kit, which needs no time for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from examples.schedule.flow import Report, reports
from stepgraph.testing import Harness

DAY = timedelta(days=1)


async def main() -> None:
    """Begin on Tuesday, 1 January 2030: a holiday."""
    outbox: list[str] = []
    resources = {
        "outbox": outbox,
        "holidays": frozenset({"01-01"}),
        "outages": {"02 January"},
    }
    async with Harness(reports, resources=resources) as harness:
        schedules = harness.workflow.schedules
        # What is not known when the code is written is data: one schedule for each customer, say.
        await schedules.put("customer-7", "0 12 * * 1", Report("customer 7"))
        await harness.advance(5 * DAY)
        await schedules.pause("daily", actor="ada")
        await harness.advance(3 * DAY)
        await schedules.resume("daily", actor="ada")
        await harness.advance(DAY)
        print("\n".join(outbox))
        async for schedule in schedules.find():
            print(f"{schedule.name}: {schedule.last_decision}, next {schedule.next_slot}")


if __name__ == "__main__":
    asyncio.run(main())
