"""One measurement each: throughput, idle latency, idle cost."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from benchmarks.flow import Status, make_order, three_steps
from stepgraph import RunState
from stepgraph.model.fact import RunMoved


class Throughput(NamedTuple):
    """Whole runs, trigger included."""

    runs_per_second: float
    cpu_microseconds_per_run: float


class Completions:
    """An observer that waits for a number of completed runs."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.done = asyncio.Event()

    def observe(self, fact: Any) -> None:
        if type(fact) is RunMoved and fact.run_state == RunState.COMPLETED:
            self._left -= 1
            if self._left == 0:
                self.done.set()


async def throughput(backend: Any, *, callers: int, runs: int) -> Throughput:
    """Let `callers` tasks trigger `runs` runs one after another; wait until all have completed."""
    per_caller = runs // callers
    completions = Completions(per_caller * callers)
    async with three_steps().build(backend, observers=[completions]) as workflow:

        async def call(caller: int) -> None:
            for number in range(per_caller):
                await workflow.trigger(f"order-{caller}-{number}", make_order(number))

        cpu, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(call(caller) for caller in range(callers)))
        await completions.done.wait()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    count = per_caller * callers
    return Throughput(count / seconds, cpu_seconds / count * 1e6)


async def latencies(backend: Any, *, runs: int) -> list[float]:
    """Trigger one run at a time on an idle system; milliseconds to the third step's commit."""
    found = []
    async with three_steps().build(backend) as workflow:
        for number in range(runs):
            started = time.perf_counter()
            run_id = await workflow.trigger(f"order-{number}", make_order(number))
            await workflow.await_status(run_id, Status.SENT, within=None)
            found.append((time.perf_counter() - started) * 1000)
    return sorted(found)


async def idle_cost(backend: Any, *, seconds: float) -> float:
    """Return the part of a core that a started workflow uses with nothing to do."""
    async with three_steps().build(backend):
        await asyncio.sleep(2)
        started = time.process_time()
        await asyncio.sleep(seconds)
        return (time.process_time() - started) / seconds
