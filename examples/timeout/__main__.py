"""Let three trials take their course: three weeks under a clock that jumps, so in no time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from examples.timeout.flow import Trial, subscribe, trials
from stepgraph.testing import Harness

DAY = timedelta(days=1)


async def main() -> None:
    """Use the harness of the test kit: the real engine, and a clock that one moves by hand."""
    outbox: list[str] = []
    async with Harness(trials, resources={"outbox": outbox}) as harness:
        await harness.trigger("ada", Trial("ada@example.com"))
        await harness.trigger("alan", Trial("alan@example.com"))
        await harness.trigger("grace", Trial("grace@example.com", extra_days=7))
        await harness.advance(12 * DAY)
        await harness.callback("ada", subscribe)
        await harness.advance(12 * DAY)
        for name in ("ada", "alan", "grace"):
            run = await harness.latest(name)
            print(f"{name}: {run.status.name}, {', '.join(run.object.log)}")
    print("\n".join(sorted(outbox)))


if __name__ == "__main__":
    asyncio.run(main())
