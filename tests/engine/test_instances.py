"""Several instances on one store: roles, hand-over, and poison among them."""

import asyncio
from datetime import timedelta
from typing import Literal

from stepgraph import Backoff, ProcessState, Run, RunState, Trigger
from tests.flows import SOON, Order, Status, one_step, three_steps


async def test_a_second_instance_takes_over_when_the_first_stops(new_backend):
    flow = three_steps()
    first, second = flow.build(new_backend()), flow.build(new_backend())
    await first.start()
    await second.start()
    assert ProcessState.RUNNING not in second.processes().values()
    await first.stop()

    run_id = await second.trigger("o-1", Order())
    run = await second.await_status(run_id, Status.SENT, within=SOON)

    assert run.run_state is RunState.COMPLETED
    assert set(second.processes().values()) == {ProcessState.RUNNING}
    await second.stop()


async def test_work_that_one_instance_triggers_wakes_the_other(new_backend):
    flow = three_steps()
    async with flow.build(new_backend()), flow.build(new_backend()) as other:
        for number in range(20):
            run_id = await other.trigger(f"o-{number}", Order())
            await other.await_status(run_id, Status.SENT, within=SOON)


async def test_parallel_count_makes_as_many_processes(backend):
    flow = three_steps(parallel_count=5)
    async with flow.build(backend) as workflow:
        names = [name for name in workflow.processes() if name.startswith("CREATED")]
        assert names == [f"CREATED-consumer-{i}-of-5" for i in range(1, 6)]
        results = await workflow.trigger_many(Trigger(f"o-{i}", Order()) for i in range(100))
        for result in results:
            await workflow.await_status(result.run_id, Status.SENT, within=SOON)


async def test_a_poison_run_holds_up_nobody_and_its_attempts_survive_a_restart(new_backend):
    async def step(run: Run[Order, Status]) -> Literal[Status.PAID]:
        if run.foreign_id == "poison":
            raise ValueError("always")
        return Status.PAID

    flow = one_step(step, retry=Backoff(first=timedelta(milliseconds=20), cap=timedelta(milliseconds=20)))
    async with flow.build(new_backend()) as workflow:
        poison = await workflow.trigger("poison", Order())
        results = await workflow.trigger_many(Trigger(f"o-{i}", Order()) for i in range(1000))
        for result in results:
            await workflow.await_status(result.run_id, Status.PAID, within=SOON)
        async with asyncio.timeout(20):
            while len(await workflow.runs.attempts(poison)) < 3:
                await asyncio.sleep(0.01)
    async with flow.build(new_backend()) as workflow:
        before = len(await workflow.runs.attempts(poison))
        async with asyncio.timeout(20):
            while len(attempts := await workflow.runs.attempts(poison)) < before + 2:
                await asyncio.sleep(0.01)

    numbers = [attempt.number for attempt in attempts]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_another_parallel_count_neither_repeats_nor_skips(new_backend):
    """Groups only cut the slots: work that waits keeps its slot, whoever has it."""
    calls = []

    async def step(run: Run[Order, Status]) -> Literal[Status.PAID]:
        calls.append(run.foreign_id)
        return Status.PAID

    names = [f"o-{number}" for number in range(60)]
    for start, parallel_count in enumerate((3, 5, 1)):
        flow = one_step(step, parallel_count=parallel_count)
        async with flow.build(new_backend()).client() as client:
            for name in names[start * 20 : start * 20 + 20]:
                await client.trigger(name, Order())
        async with flow.build(new_backend()), flow.build(new_backend()) as workflow:
            for name in names[start * 20 : start * 20 + 20]:
                run = await workflow.runs.latest(name)
                assert run is not None
                await workflow.await_status(run.id, Status.PAID, within=SOON)
    assert sorted(calls) == sorted(names)
