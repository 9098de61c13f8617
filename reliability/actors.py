"""Actors: who uses the workflow from outside. Each is a coroutine, found by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from reliability.flow import CALLBACKS, Basket, Letter, Stage
from reliability.history import Operation
from reliability.loop import NODE
from stepgraph import ConnectorEvent, RunState
from stepgraph.errors import OutcomeUnknownError, WorkflowError

Actor = Callable[[Any, Any], Awaitable[None]]
HOT = ("a", "A", "a ", "a.1")


@asynccontextmanager
async def operation(world: Any, kind: str, workflow: Any, foreign_id: str, **fields: Any) -> Any:
    """Write down one call of a client, and how it ended."""
    world.operation_count += 1
    number = f"op-{world.operation_count}"
    made = Operation(
        number, NODE.get(), kind, workflow.name, foreign_id, round(world.loop.time(), 6), **fields
    )
    world.history.operations.append(made)
    world.note("begin", kind, number, foreign_id)
    try:
        yield made
        made.outcome = "ok"
    except OutcomeUnknownError as error:
        made.outcome, made.error = "info", type(error).__name__
        world.goal(f"the outcome of {kind} was unknown")
    except WorkflowError as error:
        made.outcome, made.error = "fail", type(error).__name__
        if hasattr(error, "run_id"):
            made.detail = error.run_id
        world.goal(f"{kind} raised {made.error}")
    finally:
        made.ended_at = round(world.loop.time(), 6)
        world.note("ended", kind, number, made.outcome, made.error)


def basket(number: str) -> Basket:
    """Return the object of a new run."""
    return Basket(origin=number, canary=f"canary-{number}-yranac")


async def triggers(world: Any, workflow: Any) -> None:
    """Start runs: of few foreign ids and of many, with keys and without, at once and later."""
    random = world.chance.stream("triggers", workflow.name)
    keys: list[tuple[str, str]] = []
    for count in range(world.config.trigger_count):
        await asyncio.sleep(random.uniform(0, world.config.chaos_seconds / 16))
        foreign_id = random.choice(HOT) if random.random() < 0.5 else f"cold-{count}"
        key: str | None = None
        if keys and random.random() < 0.25:
            foreign_id, key = random.choice(keys)
        elif random.random() < 0.4:
            key = f"key-{count}"
            keys.append((foreign_id, key))
        stage = random.choice((None, None, Stage.BUSY, Stage.BUSY, Stage.WAITING, Stage.TIMED))
        after = timedelta(seconds=random.uniform(0.1, 6)) if random.random() < 0.2 else None
        together = [
            trigger(world, workflow, foreign_id, key=key, status=stage, after=after)
            for _ in range(random.choice((1, 1, 2, 3)))
        ]
        await asyncio.gather(*together)


async def trigger(world: Any, workflow: Any, foreign_id: str, **wish: Any) -> None:
    """Start one run; what stayed unknown under a key is repeated."""
    key = wish.pop("key")
    for _ in range(3):
        async with operation(world, "trigger", workflow, foreign_id, key=key or "") as made:
            if wish.get("after") is not None:
                wait = int(wish["after"].total_seconds() * 1e6) - 1
                world.history.delays[made.number] = world.microseconds("client") + wait
            made.run_id = await workflow.trigger(
                foreign_id, basket(made.number), idempotency_key=key, **wish
            )
            world.know(workflow.name, foreign_id, made.run_id)
        if made.outcome != "info" or key is None:
            return


async def callbacks(world: Any, workflow: Any) -> None:
    """Call back: early, in time, late, twice."""
    random = world.chance.stream("callbacks", workflow.name)
    ends_at = world.config.chaos_seconds
    sent: list[tuple[str, str, str]] = []
    while world.loop.time() < ends_at:
        await asyncio.sleep(random.uniform(0, 1.2))
        foreign_id = world.pick_foreign_id(random)
        name = random.choice((*CALLBACKS, "approve", "nudge", "nudge"))
        key = f"letter-{len(sent)}" if random.random() < 0.6 else None
        if sent and random.random() < 0.3:
            foreign_id, name, key = random.choice(sent)
        elif key is not None:
            sent.append((foreign_id, name, key))
        wish = random.choice(("go", "go", "go", "repeat", "repeat", "skip", "raise"))
        count = 2 if random.random() < 0.15 else 1
        await asyncio.gather(
            *(
                call_back(world, workflow, foreign_id, name, key=key, wish=wish)
                for _ in range(count)
            )
        )


async def call_back(
    world: Any, workflow: Any, foreign_id: str, name: str, *, key: str | None, wish: str
) -> None:
    """Send one letter; what stayed unknown under a key is repeated."""
    target = next(h.function for h in workflow.definition.callbacks if h.name == name)
    for _ in range(2):
        fields = {"key": key or "", "detail": name}
        async with operation(world, "callback", workflow, foreign_id, **fields) as made:
            try:
                receipt = await workflow.callback(
                    foreign_id, target, Letter(made.number, wish), idempotency_key=key
                )
            except (TimeoutError, Exception) as error:
                if isinstance(error, WorkflowError):
                    raise
                made.error = type(error).__name__  # the function's own
                made.detail = f"{name} raised"
                return
            made.run_id, made.version = receipt.run_id, receipt.version
            made.detail = f"{name} {receipt.effect}"
            world.goal(f"a callback was {receipt.effect}")
        if made.outcome != "info" or key is None:
            return


async def operator(world: Any, workflow: Any) -> None:
    """Look at runs, and pause, resume, retry, cancel and delete them at whatever version."""
    random = world.chance.stream("operator", workflow.name)
    ends_at = world.config.chaos_seconds
    seen: list[Any] = []
    while world.loop.time() < ends_at:
        await asyncio.sleep(random.uniform(0, 1.0))
        run_id = world.pick_run(random, workflow.name)
        if run_id is None:
            continue
        try:
            snapshot = await workflow.runs.get(run_id)
        except WorkflowError:
            continue
        seen.append(snapshot)
        target = random.choice(seen[-4:]) if random.random() < 0.4 else snapshot.id
        if random.random() < 0.1:
            await asyncio.sleep(2.0)
        chosen = random.choice(_sensible(snapshot))
        await act(world, workflow, chosen, target)


def _sensible(snapshot: Any) -> tuple[str, ...]:
    if snapshot.run_state is RunState.PAUSED:
        return ("resume", "resume", "retry", "cancel")
    if snapshot.run_state.is_finished:
        return ("delete_data", "delete_data", "cancel", "pause")
    return ("pause", "pause", "cancel", *["retry"] * 4, "delete_data")


async def act(world: Any, workflow: Any, action: str, target: Any) -> None:
    """Do one thing to a run, as it is or as it was seen."""
    run_id = target if isinstance(target, str) else target.id
    seen = None if isinstance(target, str) else target.version
    fields = {"run_id": run_id, "seen": seen}
    async with operation(world, action, workflow, "", **fields) as made:
        method = getattr(workflow.runs, action)
        words = (target,) if action in ("resume", "retry") else (target, "because")
        after = await method(*words, actor=made.number)
        made.version = after.version
        made.detail = after.run_state.name


async def feed(world: Any, workflow: Any) -> None:
    """Publish events of an outside stream, some of them twice."""
    random = world.chance.stream("feed", workflow.name)
    source = world.sources[workflow.name]
    sent: list[ConnectorEvent] = []
    for count in range(8):
        await asyncio.sleep(random.uniform(0, world.config.chaos_seconds / 14))
        event = ConnectorEvent(f"event-{count}", random.choice((*HOT, f"fed-{count}")))
        if sent and random.random() < 0.3:
            event = random.choice(sent)
        sent.append(event)
        source.publish(event)


async def awaiter(world: Any, workflow: Any) -> None:
    """Wait for runs to end, or to come somewhere."""
    random = world.chance.stream("awaiter", workflow.name)
    ends_at = world.config.chaos_seconds
    while world.loop.time() < ends_at:
        await asyncio.sleep(random.uniform(0, 3))
        run_id = world.pick_run(random, workflow.name)
        if run_id is None:
            continue
        statuses = random.choice(((), (Stage.DONE,), (Stage.WAITING, Stage.TIMED)))
        fields = {"run_id": run_id, "detail": ",".join(s.name for s in statuses)}
        async with operation(world, "await", workflow, "", **fields) as made:
            run = await workflow.await_status(run_id, *statuses, within=timedelta(seconds=5))
            made.version = run.version


ACTORS: dict[str, Actor] = {
    "triggers": triggers,
    "callbacks": callbacks,
    "operator": operator,
    "feed": feed,
    "awaiter": awaiter,
}
