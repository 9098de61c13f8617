"""Simulated worlds: the same in every process, and nothing broken in them."""

import asyncio

import pytest

from reliability import campaign, small
from reliability.config import draw_config
from reliability.loop import NODE, SimLoop, SimulationEscape, StuckError, context_of
from reliability.simulate import simulate
from reliability.strategy import Strategy


def test_two_hundred_worlds_break_nothing():
    total = campaign.run(range(200), "all", jobs=2)

    assert total.failed == []
    assert total.void < 10
    assert total.commits > 5_000
    assert len(total.injected) > 15


@pytest.mark.parametrize("seed", [1, 2, 9])
def test_a_seed_is_the_same_in_another_process_with_another_hash_seed(seed):
    assert campaign.digest_elsewhere(seed, "all") == simulate(draw_config(seed)).digest


def test_another_seed_is_another_world():
    assert simulate(draw_config(1)).digest != simulate(draw_config(2)).digest


@pytest.mark.parametrize("name", ["two triggers", "hook against delete-data"])
def test_a_small_world_is_gone_through_whole(name):
    lived, found = small.explore(name, depth=1, jobs=2)

    assert found == []
    assert lived > 50


def run(main):
    """Run a coroutine function on a loop of its own; return the loop."""
    loop = SimLoop(Strategy())
    task = loop.create_task(main(loop))
    task.add_done_callback(lambda _: loop.stop())
    loop.run_forever()
    task.result()
    loop.bury()
    return loop


def test_time_jumps_to_the_next_timer():
    async def main(loop):
        await asyncio.sleep(86_400)

    assert run(main).time() == 86_400


def test_a_killed_node_runs_nothing_more_not_even_its_cleanup():
    seen = []

    async def work():
        try:
            await asyncio.sleep(5)
        finally:
            seen.append(NODE.get())

    async def main(loop):
        for node in ("a", "b"):
            loop.create_task(work(), context=context_of(node))
        await asyncio.sleep(1)
        loop.kill("a")
        await asyncio.sleep(10)

    run(main)

    assert seen == ["b"]


def test_a_held_node_goes_on_where_it_was():
    seen = []

    async def work(loop):
        await asyncio.sleep(5)
        seen.append(loop.time())

    async def main(loop):
        loop.create_task(work(loop), context=context_of("a"))
        await asyncio.sleep(1)
        loop.hold("a")
        await asyncio.sleep(30)
        loop.release("a")
        await asyncio.sleep(1)

    run(main)

    assert seen == [31.0]


@pytest.mark.parametrize("escape", ["to_thread", "call_soon_threadsafe"])
def test_whatever_asks_for_a_thread_escapes(escape):
    async def main(loop):
        with pytest.raises(SimulationEscape):
            if escape == "to_thread":
                await asyncio.to_thread(print)
            else:
                loop.call_soon_threadsafe(print)

    run(main)


def test_a_world_in_which_nothing_can_happen_any_more_is_found():
    async def main(loop):
        await asyncio.Event().wait()

    with pytest.raises(StuckError):
        run(main)
