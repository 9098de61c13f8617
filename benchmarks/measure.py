"""One measurement each: throughput, idle latency, idle cost."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.flow import POISON, Status, make_order, three_steps
from stepgraph import RunState


class Throughput(NamedTuple):
    """Whole runs, trigger included."""

    runs_per_second: float
    cpu_microseconds_per_run: float


async def throughput(
    backend: Any, *, callers: int, runs: int, observers: Sequence[Any] = ()
) -> Throughput:
    """Let `callers` tasks trigger `runs` runs one after another; wait until all have completed.

    The last step notes who was there. Commits keep the order of the steps' ends, so when the end of
    the last one is stored, all are.
    """
    per_caller = runs // callers
    count = per_caller * callers
    left = count
    last = asyncio.get_running_loop().create_future()

    def note(run_id: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            last.set_result(run_id)

    async with three_steps(note).build(backend, observers=observers) as workflow:

        async def call(caller: int) -> None:
            for number in range(per_caller):
                await workflow.trigger(f"order-{caller}-{number}", make_order(number))

        cpu, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(call(caller) for caller in range(callers)))
        await workflow.await_status(await last, within=None)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        if await workflow.runs.count(run_state=(RunState.INITIATED, RunState.RUNNING)):
            raise RuntimeError("not every run has completed")
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


async def neighbours(backend: Any, *, runs: int, is_poisoned: bool) -> list[float]:
    """Trigger `runs` runs, 16 at a time, beside one that always fails, or that does not.

    Returns the milliseconds from trigger to end of each, without the one that fails. It is tried
    again every 50 ms: far more often than any sensible back-off.
    """
    orders = three_steps(fails=lambda order: is_poisoned and order.customer == POISON.customer)
    found: list[float] = []
    numbers = iter(range(runs))
    async with orders.build(backend, retry=timedelta(milliseconds=50)) as workflow:
        await workflow.trigger("poison", POISON)

        async def call() -> None:
            for number in numbers:
                started = time.perf_counter()
                run_id = await workflow.trigger(f"order-{number}", make_order(number))
                await workflow.await_status(run_id, Status.SENT, within=None)
                found.append((time.perf_counter() - started) * 1000)

        await asyncio.gather(*(call() for _ in range(16)))
    return sorted(found)


async def idle_cost(backend: Any, *, seconds: float) -> float:
    """Return the part of a core that a started workflow uses with nothing to do."""
    async with three_steps().build(backend):
        await asyncio.sleep(2)
        started = time.process_time()
        await asyncio.sleep(seconds)
        return (time.process_time() - started) / seconds
