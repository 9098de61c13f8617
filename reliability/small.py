"""Small worlds, gone through whole: every schedule with at most two preemptions, every crash.

What matters between processes is the order in which the servers see their requests. So a small
world has no delays; every request waits at its server until nothing else can go on, and then the
first one is let through: that is the plain schedule. A preemption lets another one through first.
A crash ends a node at the moment of one of its requests, before the server has seen it or after.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

from reliability.actors import act, call_back, trigger
from reliability.checker import check
from reliability.config import Config
from reliability.flow import Stage
from reliability.loop import context_of
from reliability.strategy import Strategy
from reliability.world import World, live

Play = Callable[["SmallWorld"], Awaitable[None]]
_SETTLED = 3.0  # when membership is at rest, and choices begin to count
_LIMIT = 120


@dataclass(frozen=True)
class Schedule:
    """Where the plain schedule is left: place of a choice -> which request goes first instead.

    `crash` is (place, is_after): at that choice the node whose request goes is killed.
    """

    preemptions: tuple[tuple[int, int], ...] = ()
    crash: tuple[int, bool] | None = None


class Controller:
    """Lets requests through one at a time, as a schedule says."""

    def __init__(self, world: World, schedule: Schedule) -> None:
        self._world = world
        self._preemptions = dict(schedule.preemptions)
        self._crash = schedule.crash
        self._pending: list[tuple[Any, Any, Any]] = []
        self.is_counting = False
        self.choices: list[int] = []

    def submit(self, request: Any, execute: Any, answer: Any) -> None:
        """Take a request."""
        self._pending.append((request, execute, answer))

    def let_through(self) -> bool:
        """Let one request through; False if there is none."""
        loop = self._world.loop
        self._pending = [p for p in self._pending if p[0].node not in loop.dead]
        if not self._pending:
            return False
        place = -1
        chosen = 0
        if self.is_counting and len(self.choices) < _LIMIT:
            place = len(self.choices)
            self.choices.append(len(self._pending))
            chosen = min(self._preemptions.get(place, 0), len(self._pending) - 1)
        request, execute, answer = self._pending.pop(chosen)
        is_crash = self._crash is not None and self._crash[0] == place
        node = next((n for n in self._world.nodes if n.id == request.node), None)
        if is_crash and node is not None and self._crash == (place, False):
            self._kill(node)
            return True
        try:
            result, error = execute(), None
        except Exception as raised:  # noqa: BLE001 -- the answer of a server
            result, error = None, raised
        if is_crash and node is not None:
            self._kill(node)
            return True
        if not answer.done():
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)
        return True

    def _kill(self, node: Any) -> None:
        self._world.network.count("crash")
        node.crash()
        self._world.loop.call_later(1.0, node.start, context=context_of(""))


class SmallWorld(World):
    """A world with a play instead of actors and faults."""

    def __init__(self, play: Play, schedule: Schedule, config: Config) -> None:
        super().__init__(config, strategy=Strategy())
        self._play = play
        self.controller = Controller(self, schedule)
        self.network.controller = self.controller
        self.loop.on_idle = self.controller.let_through

    async def _act(self) -> None:
        while not self.client.is_up:
            await asyncio.sleep(0.1)
        await asyncio.sleep(_SETTLED - self.loop.time())
        self.is_healed = True  # the functions behave; what goes wrong is the schedule
        self.controller.is_counting = True
        main = self.loop.create_task(self._play_it(), context=context_of(self.client.id))
        await main
        self.controller.is_counting = False

    async def _play_it(self) -> None:
        await self._play(self)

    async def together(self, *calls: Awaitable[Any]) -> None:
        """Do all of these at once."""
        await asyncio.gather(*calls)

    async def start_run(self, status: Stage, foreign_id: str = "a") -> str:
        """Start a run, and return its id."""
        workflow = self.client.workflows[0]
        await trigger(self, workflow, foreign_id, key=None, status=status, after=None)
        return self._known[workflow.name][-1][1]

    async def act(self, action: str, run_id: str) -> None:
        """Do something to a run."""
        await act(self, self.client.workflows[0], action, run_id)

    async def call_back(self, name: str, wish: str = "go", key: str | None = None) -> None:
        """Tell the run of "a" something."""
        await call_back(self, self.client.workflows[0], "a", name, key=key, wish=wish)


async def two_triggers(world: SmallWorld) -> None:
    """Two callers want a run of one foreign id; and two more with one key."""
    workflow = world.client.workflows[0]
    await world.together(
        *(
            trigger(world, workflow, "a", key=key, status=Stage.DRAFT, after=None)
            for key in (None, None, "k", "k")
        )
    )
    await asyncio.sleep(1.5)


async def step_against_pause(world: SmallWorld) -> None:
    """A run is paused and resumed while its step is at work."""

    async def hold() -> None:
        await world.act("pause", run_id)
        await world.act("resume", run_id)

    run_id = await world.start_run(Stage.BUSY)
    await world.together(hold(), world.call_back("nudge", "repeat"))
    await asyncio.sleep(1.5)


async def step_against_cancel_against_timeout(world: SmallWorld) -> None:
    """A cancel, a callback and two timeouts meet at one run."""
    run_id = await world.start_run(Stage.WAITING)
    await asyncio.sleep(2.9)
    await world.together(world.act("cancel", run_id), world.call_back("approve", "repeat"))
    await asyncio.sleep(1.5)


async def two_zombies(world: SmallWorld) -> None:
    """Both workers believe that they hold every role."""
    run_id = await world.start_run(Stage.DRAFT)
    for node in world.nodes:
        for workflow in node.workflows:
            for consumer in workflow.opened()._consumers:  # noqa: SLF001 -- a zombie by force
                slots = frozenset(range(world.config.slot_count))
                world.loop.call_soon(consumer.hold, slots, context=context_of(node.id))
    await world.together(world.act("retry", run_id), world.act("pause", run_id))
    await asyncio.sleep(1.5)


async def publish_against_delete(world: SmallWorld) -> None:
    """A run whose work goes over a stream ends, and its data is deleted."""
    run_id = await world.start_run(Stage.DRAFT)
    await world.together(world.act("cancel", run_id), world.act("retry", run_id))
    await world.act("delete_data", run_id)
    await asyncio.sleep(1.5)


async def hook_against_delete(world: SmallWorld) -> None:
    """A run's data is deleted while its hooks are being told."""
    run_id = await world.start_run(Stage.TIMED)
    await world.act("cancel", run_id)
    await world.together(world.act("delete_data", run_id), world.act("delete_data", run_id))
    await asyncio.sleep(1.5)


async def early_callback(world: SmallWorld) -> None:
    """A callback comes while its run is being triggered, twice under one key."""
    workflow = world.client.workflows[0]
    await world.together(
        trigger(world, workflow, "a", key=None, status=Stage.WAITING, after=None),
        world.call_back("approve", "go", "k"),
        world.call_back("approve", "go", "k"),
    )
    await asyncio.sleep(1.5)


async def resume_against_timer(world: SmallWorld) -> None:
    """A paused run is resumed at the moment when its timer comes due."""
    run_id = await world.start_run(Stage.WAITING)
    await world.act("pause", run_id)
    await asyncio.sleep(2.9)
    await world.act("resume", run_id)
    await asyncio.sleep(1.5)


PLAYS: dict[str, tuple[Play, bool]] = {
    "two triggers": (two_triggers, False),
    "step against pause": (step_against_pause, False),
    "cancel against callback against timeout": (step_against_cancel_against_timeout, False),
    "two zombies": (two_zombies, False),
    "publish against delete": (publish_against_delete, True),
    "hook against delete-data": (hook_against_delete, False),
    "early callback": (early_callback, False),
    "resume against timer": (resume_against_timer, False),
}


def perform(name: str, schedule: Schedule) -> tuple[list[str], list[int]]:
    """Live through one schedule; return what is wrong, and how many could go at each choice."""
    play, is_mixed = PLAYS[name]
    options = {"pause_retry": timedelta(seconds=2), "stuck_after": timedelta(seconds=2)}
    config = Config(
        seed=1, slot_count=1, is_mixed=is_mixed, options=options, chaos_seconds=1.0,
        has_custom_delete=False,
    )  # fmt: skip
    world = SmallWorld(play, schedule, config)
    live(world)
    world.history.has_faults = True
    world.history.repeat_limit = 6
    return [*world.violations, *check(world.history)], world.controller.choices


def crashes(choices: list[int]) -> Iterator[Schedule]:
    """Return every crash at a request, before the server saw it and after."""
    for place in range(len(choices)):
        yield Schedule(crash=(place, False))
        yield Schedule(crash=(place, True))


def further(schedule: Schedule, choices: list[int]) -> Iterator[Schedule]:
    """Return the schedules with one preemption more, after those that a schedule has."""
    first = schedule.preemptions[-1][0] + 1 if schedule.preemptions else 0
    for place in range(first, len(choices)):
        for other in range(1, choices[place]):
            yield Schedule((*schedule.preemptions, (place, other)))


def _perform(work: tuple[str, Schedule]) -> tuple[Schedule, list[str], list[int]]:
    return (work[1], *perform(*work))


def explore(name: str, depth: int, jobs: int) -> tuple[int, list[str]]:
    """Go through a play whole; return how many schedules were lived, and what broke."""
    violations, choices = perform(name, Schedule())
    found = [f"plain: {text}" for text in violations]
    level = [*crashes(choices), *further(Schedule(), choices)]
    lived = 1
    with get_context("fork").Pool(jobs, maxtasksperchild=20) as pool:
        for number in range(1, depth + 1):
            work = [(name, schedule) for schedule in level]
            level = []
            for schedule, broken, seen in pool.imap_unordered(_perform, work, 10):
                lived += 1
                found += [f"{schedule}: {text}" for text in broken]
                if number < depth and schedule.crash is None:
                    level += further(schedule, seen)
            level.sort(key=lambda schedule: schedule.preemptions)
    return lived, found


def main(depth: int = 2, jobs: int = 2) -> int:
    """Go through every play; 0 if nothing broke."""
    failed = 0
    for name in PLAYS:
        began = time.monotonic()
        lived, found = explore(name, depth, jobs)
        failed += bool(found)
        took = time.monotonic() - began
        print(f"{name}: {lived} schedules, {len(found)} broken, {took:.0f} s", flush=True)
        for text in found[:3]:
            print(f"    {text[:300]}")
    return 1 if failed else 0
