"""World: one seed's servers, nodes, faults and actors, from the start to quiescence."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from reliability.actors import ACTORS, act, operation
from reliability.aftermath import look_at_histories, look_at_nodes, look_for_canaries
from reliability.chance import Chance
from reliability.config import Config
from reliability.fault import CLOCK_KINDS, NODE_KINDS, Fault
from reliability.flow import HOOKS, STEPS, TIMEOUTS, Basket, Flow, Stage, edges
from reliability.history import History
from reliability.loop import NODE, SimLoop, StepBudgetError, StuckError
from reliability.network import Network
from reliability.node import Node
from reliability.roles import RoleServer
from reliability.source import SourceServer
from reliability.store import StoreServer
from reliability.stream import StreamServer
from reliability.strategy import strategy_of
from stepgraph.engine.threads import Threads
from stepgraph.errors import UnavailableError, WorkflowError
from stepgraph.ports import clock, identity

EPOCH = 1_900_000_000_000_000
STEP_BUDGET = 600_000
STANDING = ("retention", "schedules")  # consumers whose row is always there


@dataclass
class Result:
    """What became of a world."""

    seed: int
    digest: str
    violations: list[str]
    history: History
    goals: set[str]
    injected: dict[str, int]
    trace: list[str]


class World:
    """Everything that a simulated world has."""

    def __init__(self, config: Config, *, is_traced: bool = False, strategy: Any = None) -> None:
        self.config = config
        self.chance = Chance(config.seed)
        picked = strategy or strategy_of(self.chance.stream("schedule"), 40_000)
        self.loop = SimLoop(picked, STEP_BUDGET)
        self.history = History()
        self.goals: set[str] = set()
        self.trace: list[str] = []
        self._is_traced = is_traced
        self._digest = hashlib.sha256()
        self.violations: list[str] = []
        self.network = Network(self.loop, self.chance, self.note)
        self.flow = Flow(self)
        self.store = StoreServer(self, config.slot_count)
        self.store.is_mixed = config.is_mixed
        self.roles = RoleServer(self)
        self.stream = StreamServer(self, config.slot_count)
        self.sources = {name: SourceServer(self) for name in config.workflows}
        self.nodes = [Node(self, name) for name in config.nodes]
        self.client = Node(self, "client", is_client=True)
        self.offsets: dict[str, float] = {}
        self.highest: dict[str, int] = {}
        self.is_healed = False
        self.call_count = 0
        self.operation_count = 0
        self._identities = 0
        self._known: dict[str, list[tuple[str, str]]] = {}
        self._reported: set[str] = set()

    def note(self, *words: Any) -> None:
        """Write a line into the trace, and into its digest."""
        line = f"{self.loop.time():.6f} {words!r}"
        self._digest.update(line.encode())
        if self._is_traced:
            self.trace.append(line)

    def goal(self, name: str) -> None:
        """Know that something was reached which ought to be reached sometimes."""
        self.goals.add(name)

    def broken(self, invariant: str, text: str) -> None:
        """Know that an invariant is broken; of each kind once."""
        if invariant + text[:40] not in self._reported:
            self._reported.add(invariant + text[:40])
            self.violations.append(f"{invariant} at {self.loop.time():.3f}: {text}")
            self.note("BROKEN", invariant, text)

    def microseconds(self, node: str) -> int:
        """Return what a clock reads."""
        now = EPOCH + int((self.loop.time() + self.offsets.get(node, 0.0)) * 1e6)
        if now > self.highest.get(node, 0):
            self.highest[node] = now
        return now

    def received(self, run_id: str, version: int) -> None:
        """Know that an event was handed to a consumer."""
        self.history.received.append((self.loop.time(), run_id, version))

    def know(self, workflow: str, foreign_id: str, run_id: str) -> None:
        """Remember a run for the actors."""
        self._known.setdefault(workflow, []).append((foreign_id, run_id))

    def pick_run(self, random: Random, workflow: str) -> str | None:
        """Return a run that somebody started; one of the last, mostly."""
        known = self._known.get(workflow, [])
        if not known:
            return None
        return random.choice(known[-5:] if random.random() < 0.7 else known)[1]

    def pick_foreign_id(self, random: Random) -> str:
        """Return a foreign id that somebody used, or will."""
        known = [f for names in self._known.values() for f, _ in names]
        if known and random.random() < 0.9:
            return random.choice(known[-6:])
        return f"cold-{random.randrange(20)}"

    def draw_identity(self) -> int:
        """Return the seed of an instance's ids."""
        self._identities += 1
        return self.chance.number("identity", NODE.get(), self._identities)

    async def trigger_from_feed(self, workflow: Any, event: Any) -> None:
        """What the connector's function does with an event."""
        async with operation(self, "feed", workflow, event.foreign_id, key=event.id) as made:
            canary = f"canary-{made.number}-yranac"
            try:
                made.run_id = await workflow.trigger(
                    event.foreign_id, Basket(origin=made.number, canary=canary)
                )
                self.know(workflow.name, event.foreign_id, made.run_id)
            except UnavailableError as error:
                made.error = type(error).__name__
                raise
        if made.outcome == "info" or made.error == "UnavailableError":
            raise UnavailableError("the trigger did not go through")

    async def run(self) -> None:
        """Live through it: chaos, healing, quiescence."""
        for node in [*self.nodes, self.client]:
            node.start()
        tasks = [self.loop.create_task(self._strike(fault)) for fault in self.config.faults]
        await self._act()
        await asyncio.gather(*tasks)
        self.note("healed")
        self.is_healed = True
        await self._settle()

    async def _act(self) -> None:
        """Run every actor at the client."""
        from reliability.loop import context_of

        while not self.client.is_up:
            await asyncio.sleep(0.1)
            if self.client.has_failed:
                raise RuntimeError("the client cannot be built")
        tasks = [
            self.loop.create_task(self._guard(name, workflow), context=context_of(self.client.id))
            for workflow in self.client.workflows
            for name in self.config.actors
        ]
        await asyncio.gather(*tasks)

    async def _guard(self, name: str, workflow: Any) -> None:
        try:
            await ACTORS[name](self, workflow)
        except UnavailableError as error:
            self.note("actor gave up", name, type(error).__name__)

    async def _strike(self, fault: Fault) -> None:
        """Let a fault begin and end."""
        await asyncio.sleep(fault.at)
        self.note("fault", fault.kind, fault.node, fault.server, fault.amount)
        if fault.kind in NODE_KINDS:
            await self._strike_node(fault)
        elif fault.kind in CLOCK_KINDS:
            clock_of = fault.node if fault.kind == "clock" else "store"
            self.network.count(fault.kind)
            self.offsets[clock_of] = fault.amount
            await asyncio.sleep(fault.until - fault.at)
            self.offsets[clock_of] = 0.0
        elif fault.kind in ("wipe", "forget members"):
            self.network.count(fault.kind)
            (self.stream.wipe if fault.kind == "wipe" else self.roles.forget)()
        else:
            self.network.active.append(fault)
            await asyncio.sleep(fault.until - fault.at)
            self.network.active.remove(fault)
        self.note("fault ends", fault.kind, fault.node)

    async def _strike_node(self, fault: Fault) -> None:
        node = next((n for n in self.nodes if n.name == fault.node), None)
        if node is None or not node.is_up or node.id in self.loop.held:
            return
        self.network.count(fault.kind)
        seconds = fault.until - fault.at
        if fault.kind == "pause":
            held = node.id
            self.loop.hold(held)
            await asyncio.sleep(seconds)
            self.loop.release(held)
            self.goal("a node paused")
            return
        if fault.kind == "crash":
            node.crash()
        else:
            began = self.loop.time()
            await node.stop()
            took = self.loop.time() - began
            # What is in hand, what is on its way to the store, and a few calls that find nobody.
            if took > 75:
                self.broken("I42", f"{node.id} took {took:.1f} s to stop")
        await asyncio.sleep(seconds)
        node.start()

    async def _settle(self) -> None:
        """Put right what a person would, and wait until nothing is left to do."""
        ends_at = self.loop.time() + self.config.settle_seconds
        quiet = 0
        while self.loop.time() < ends_at:
            await asyncio.sleep(2.0)
            for workflow in self.client.workflows:
                with_client = copy_context()
                with_client.run(NODE.set, self.client.id)
                await self.loop.create_task(self._tidy(workflow), context=with_client)
            self.history.left = self.left()
            quiet = quiet + 1 if not self.history.left else 0
            if quiet >= 3:
                return
        self.history.is_quiescent = False

    async def _tidy(self, workflow: Any) -> None:
        """Resume what is paused on purpose; drive dead letters, drop early callbacks."""
        try:
            for record in list(self.store.storage.records.values()):
                if record.workflow == workflow.name and record.run_state == 3:
                    if not record.meta.failure_type:
                        await act(self, workflow, "resume", record.run_id)
            letters = [letter async for letter in workflow.dead_letters.find()]
            for letter in letters:
                if letter.kind == "callback":
                    await workflow.dead_letters.discard(letter.id, "too late")
                else:
                    await workflow.dead_letters.retry(letter.id)
        except WorkflowError as error:
            self.note("tidy", type(error).__name__)

    def left(self) -> list[str]:
        """Return what is still to be done."""
        storage = self.store.storage
        found = [
            f"{r.foreign_id!r} ({r.run_id[-6:]}) is {Stage(r.status).name}, state {r.run_state},"
            f" version {r.version}, attempt {r.attempt}, waits for {r.next!r}"
            for r in storage.records.values()
            if r.run_state in (1, 2, 3, 7)
        ]
        found += [
            f"row {row.id[-20:]} for {consumer} slot {slot}"
            for (consumer, slot), queue in storage.queues.items()
            for row in queue.rows.values()
            if consumer.partition("/")[2] not in STANDING
        ]
        found += [
            f"dead letter {letter.row.id} of {letter.row.consumer}"
            for letter in storage.parked.values()
        ]
        found += self.stream.left()
        for source in self.sources.values():
            if len(source.finished) < len(source.events):
                found.append(f"events {len(source.finished)} of {len(source.events)}")
        return found

    def describe(self) -> None:
        """Tell the checker what is known of this world beside its history."""
        history = self.history
        history.graph = edges()
        history.ends = frozenset((int(Stage.DONE), int(Stage.UNDONE)))
        history.hooked = {h: frozenset(map(int, states)) for h, states in HOOKS.items()}
        history.timeouts = {int(stage): timers for stage, timers in TIMEOUTS.items()}
        kinds = {fault.kind for fault in self.config.faults}
        history.has_faults = bool(kinds)
        history.has_node_faults = bool(kinds & set(NODE_KINDS))
        history.repeat_limit = 1 + sum(self.network.injected.values())
        history.is_mixed = self.config.is_mixed
        history.has_skew = bool(kinds & set(CLOCK_KINDS))
        history.steps, history.seconds = self.loop.steps, self.loop.time()
        history.errors += self.loop.errors
        assert STEPS


class _Listener(logging.Handler):
    """Errors that the engine meets within itself break an invariant of their own."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        kind = getattr(record, "error_type", "") or (record.exc_info and "asyncio")
        expected = ("dead letters", "refuses to delete")
        if kind and not any(words in record.getMessage() for words in expected):
            self._world.history.errors.append(f"{record.getMessage()[:400]}")
            self._world.note("engine error", record.msg)


async def _call_inline(threads: Any, function: Callable[[], Any]) -> Any:
    """Stand in for a thread: the function runs at one instant, and its answer comes later."""
    loop: Any = asyncio.get_running_loop()
    drawn = loop.world.chance.draw("thread", loop.steps)
    seconds = drawn * 0.01 if drawn < 0.93 or loop.world.is_healed else (drawn - 0.93) * 90
    cancelled: asyncio.CancelledError | None = None
    value, error = None, None
    try:
        value = copy_context().run(function)
    except BaseException as raised:  # noqa: BLE001 -- it belongs to the caller
        error = raised
    ends_at = loop.time() + seconds
    while (left := ends_at - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError as interruption:
            cancelled = interruption
    if cancelled is not None:
        raise cancelled
    if error is not None:
        raise error
    return value


@contextmanager
def _instead_of_the_machine(world: World) -> Iterator[None]:
    """Give the library the world's time, chance and threads; nothing else of it is touched."""
    saved = (clock.read_elapsed, identity.read_seed, Threads.call)
    listener = _Listener(world)
    loggers = [logging.getLogger("stepgraph"), logging.getLogger("asyncio")]
    world.loop.world = world  # type: ignore[attr-defined]
    clock.read_elapsed = world.loop.time  # type: ignore[assignment]
    identity.read_seed = world.draw_identity
    Threads.call = _call_inline  # type: ignore[method-assign, assignment]
    for logger in loggers:
        logger.addHandler(listener)
        logger.propagate = False
    try:
        yield
    finally:
        clock.read_elapsed, identity.read_seed = saved[0], saved[1]
        Threads.call = saved[2]  # type: ignore[method-assign]
        for logger in loggers:
            logger.removeHandler(listener)


def live(world: World) -> None:
    """Run a world to its end."""
    gc.disable()
    with _instead_of_the_machine(world):
        main = world.loop.create_task(world.run())
        main.add_done_callback(partial(_stop, world.loop))
        try:
            world.loop.run_forever()
            if main.exception() is not None:
                world.history.errors.append(f"the world ended by {main.exception()!r}")
                if world._is_traced:
                    main.print_stack()
        except StepBudgetError as error:
            world.broken("I40", str(error))
        except StuckError as error:
            world.broken("I39", str(error))
        finally:
            world.loop.bury()
    look_for_canaries(world)
    look_at_histories(world)
    look_at_nodes(world)
    world.describe()


def _stop(loop: SimLoop, _: Any) -> None:
    loop.stop()
