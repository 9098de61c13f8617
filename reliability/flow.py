"""The zoo: a workflow whose functions succeed, fail, dawdle, refuse to stop and answer nonsense.

What a call does is drawn from the name of the call (run, version, attempt), so that it is the same
however the world is scheduled; once the world has healed every function behaves.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Any

from reliability.history import Call, HookCall, SourceCall, TimerAsked
from reliability.loop import NODE
from stepgraph import Backoff, Builder, Cancel, Change, Pause, Repeat, Run, RunState, Skip
from stepgraph.model.instant import to_datetime, to_instant
from stepgraph.model.topic import (
    step_topic,
)


class Stage(IntEnum):
    """Where a run is."""

    DRAFT = 1
    PAID = 2
    WAITING = 3
    BUSY = 4
    TIMED = 5
    DONE = 6
    UNDONE = 7


@dataclass
class Basket:
    """A run's object: `tokens` is what each call left; `canary` must be gone after a deletion."""

    origin: str = ""
    canary: str = ""
    tokens: list[str] = field(default_factory=list)
    is_blank: bool = False


@dataclass
class Letter:
    """A callback's payload."""

    number: str
    wish: str


S = Stage
STEPS: dict[Stage, tuple[Stage, ...]] = {
    S.DRAFT: (S.PAID, S.WAITING, S.BUSY, S.DONE),
    S.PAID: (S.WAITING, S.TIMED, S.DONE),
    S.BUSY: (S.PAID, S.DONE),
}
CALLBACKS: dict[str, tuple[Stage, tuple[Stage, ...]]] = {
    "approve": (S.WAITING, (S.DONE, S.TIMED)),
    "remark": (S.WAITING, (S.TIMED,)),
    "nudge": (S.BUSY, (S.DONE,)),
}
TIMEOUTS: dict[Stage, dict[str, Any]] = {
    S.WAITING: {"expire": timedelta(seconds=8), "remind": timedelta(seconds=3)},
    S.BUSY: {"give_up": None},
    S.TIMED: {"due": None, "late": timedelta(seconds=20)},
}
TIMEOUT_GOALS = {
    "expire": (S.UNDONE,),
    "remind": (S.TIMED,),
    "give_up": (S.UNDONE,),
    "due": (S.DONE,),
    "late": (S.DONE,),
}
HOOKS: dict[str, frozenset[RunState]] = {
    "tell_all": frozenset(RunState) - {RunState.UNKNOWN},
    "tell_end": frozenset({RunState.COMPLETED, RunState.CANCELLED}),
    "tell_pause": frozenset({RunState.PAUSED}),
}
TIME_LIMIT = 4.0
OPTIONS: dict[str, Any] = {
    "retry": Backoff(first=timedelta(seconds=0.3), cap=timedelta(seconds=3)),
    "time_limit": timedelta(seconds=TIME_LIMIT),
    "pause_after_error_count": 3,
}


class Trouble(Exception):
    """What a function of the zoo raises."""


def edges() -> frozenset[tuple[int, int]]:
    """Return the graph, as the checker knows it: not read from the library."""
    pairs = [(int(a), int(b)) for a, goals in STEPS.items() for b in goals]
    pairs += [(int(a), int(b)) for a, goals in CALLBACKS.values() for b in goals]
    pairs += [
        (int(a), int(b)) for a, names in TIMEOUTS.items() for n in names for b in TIMEOUT_GOALS[n]
    ]
    return frozenset(pairs)


class Flow:
    """Makes the workflow, and writes down every call of its functions."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self._calls: dict[tuple[str, ...], int] = {}

    def builder(self, name: str) -> Builder[Basket, Stage]:
        """Return the workflow, for one node."""
        flow: Builder[Basket, Stage] = Builder(name, Basket, Stage)
        concurrency = self.world.config.concurrency
        for stage, goals in STEPS.items():
            step = self._sync_step(stage) if stage is S.PAID else self._step(stage)
            count = self.world.config.parallel_count
            flow.add_step(
                stage, step, to=goals, concurrency=concurrency, parallel_count=count, **OPTIONS
            )
        for callback, (stage, goals) in CALLBACKS.items():
            buffer = timedelta(seconds=20) if callback == "approve" else None
            flow.add_callback(
                stage, self._callback(callback, stage), to=goals, name=callback, buffer=buffer
            )
        for stage, timers in TIMEOUTS.items():
            for timer, after in timers.items():
                when = after if after is not None else self._after(timer)
                flow.add_timeout(
                    stage,
                    self._timeout(timer, stage),
                    after=when,
                    to=TIMEOUT_GOALS[timer],
                    name=timer,
                    **OPTIONS,
                )
        for hook, states in HOOKS.items():
            retry = Backoff(first=timedelta(seconds=0.2), cap=timedelta(seconds=1))
            flow.on(*states, name=hook, retry=retry, max_attempts=4)(self._hook(hook))
        flow.add_connector("feed", self._feed, max_attempts=4, retry=timedelta(seconds=0.3))
        if self.world.config.has_custom_delete:
            flow.custom_delete(lambda _: Basket(is_blank=True))
        return flow

    def _begin(self, kind: str, name: str, run: Run[Basket, Stage]) -> Call:
        world = self.world
        seen = tuple(run.object.tokens)
        world.call_count += 1
        token = f"{kind}:{name}:{run.version}:{world.call_count}"
        call = Call(
            kind,
            name,
            NODE.get(),
            run.id,
            run.version,
            run.attempt,
            seen,
            token,
            run.idempotency_key,
            round(world.loop.time(), 6),
            run.workflow_name,
            int(run.status),
            # A clock that was set back has read what it read.
            max(to_instant(run.now()), world.highest[NODE.get().partition("#")[0]]),
            max(world.store.now(), world.highest["store"]),
        )
        world.history.calls.append(call)
        world.note("call of", kind, name, run.foreign_id, run.version, run.attempt, call.node)
        return call

    def _draw(self, call: Call, run: Run[Basket, Stage]) -> float:
        if self.world.is_healed:
            return 0.0
        parts = (run.foreign_id, run.version, run.attempt, call.kind, call.name)
        drawn: float = self.world.chance.draw("behaviour", *parts)
        return drawn

    def _end(self, call: Call, outcome: str) -> None:
        call.outcome = outcome
        call.ended_at = round(self.world.loop.time(), 6)
        self.world.note("end of", call.kind, call.name, call.version, outcome)

    def _goal(self, call: Call, goals: tuple[Stage, ...], run: Run[Basket, Stage]) -> Stage:
        index = self.world.chance.number("goal", run.foreign_id, run.version, call.name)
        return goals[-1] if self.world.is_healed else goals[index % len(goals)]

    async def _dawdle(self, call: Call, drawn: float) -> None:
        """Sleep: shortly, past the time limit, or without listening to a cancellation."""
        if call.status == S.BUSY and 0.3 < drawn < 0.60:
            await asyncio.sleep((drawn - 0.3) * 4)
        if drawn < 0.60:
            return
        if drawn < 0.72:
            await asyncio.sleep(0.01 + (drawn - 0.60) * 25)
            return
        if 0.95 <= drawn < 0.98:
            self.world.goal("a function ran past its time limit")
            await asyncio.sleep(TIME_LIMIT * 2)
        if drawn >= 0.98:
            ends_at = self.world.loop.time() + TIME_LIMIT * 1.5
            while (left := ends_at - self.world.loop.time()) > 0:
                try:
                    await asyncio.sleep(left)
                except asyncio.CancelledError:
                    self.world.goal("a function ignored its cancellation")

    def _answer(
        self, call: Call, drawn: float, goals: tuple[Stage, ...], run: Run[Basket, Stage]
    ) -> Any:
        """Return what a function answers; every answer but some errors leaves its mark."""
        if 0.72 <= drawn < 0.78:
            raise Trouble("before any change")
        run.object.tokens.append(call.token)
        if 0.78 <= drawn < 0.82:
            raise Trouble("after a change")
        if 0.82 <= drawn < 0.845:
            return S.DRAFT  # nobody declares it
        if 0.845 <= drawn < 0.87:
            return Pause("on purpose")
        if 0.87 <= drawn < 0.885:
            return Cancel("enough")
        if 0.885 <= drawn < 0.92:
            after = 0.0 if drawn < 0.90 else (drawn - 0.90) * 150
            if after:
                until = to_instant(run.now()) + round(after, 3) * 1e6
                self.world.history.delays[call.token] = int(until)
            return Repeat(after=timedelta(seconds=round(after, 3)))
        if (
            (0.92 <= drawn < 0.94 or 0.1 < drawn < 0.2)
            and call.status == S.BUSY
            and call.kind != "timeout"
        ):
            return Skip()
        if 0.94 <= drawn < 0.95 and self.world.config.has_unstorable:
            run.object.origin = "unstorable"
        return self._goal(call, goals, run)

    def _step(self, stage: Stage) -> Any:
        goals = STEPS[stage]

        async def step(run: Run[Basket, Stage]) -> Any:
            call = self._begin("step", stage.name, run)
            drawn = self._draw(call, run)
            outcome = "interrupted"
            try:
                await self._dawdle(call, drawn)
                answer = self._answer(call, drawn, goals, run)
                outcome = _name_of(answer)
                return answer
            except Trouble:
                outcome = "raised"
                raise
            finally:
                self._end(call, outcome)

        step.__name__ = f"step_{stage.name.lower()}"
        return step

    def _sync_step(self, stage: Stage) -> Any:
        def step(run: Run[Basket, Stage]) -> Any:
            call = self._begin("step", stage.name, run)
            drawn = self._draw(call, run)
            try:
                answer = self._answer(call, drawn, STEPS[stage], run)
            except Trouble:
                self._end(call, "raised")
                raise
            self._end(call, _name_of(answer))
            return answer

        step.__name__ = f"step_{stage.name.lower()}"
        return step

    def _callback(self, name: str, stage: Stage) -> Any:
        async def callback(run: Run[Basket, Stage], letter: Letter) -> Any:
            call = self._begin("callback", name, run)
            call.token = f"{call.token}:{letter.number}"
            await asyncio.sleep(0.001)
            outcome = "raised"
            try:
                if letter.wish == "raise":
                    raise Trouble("callback")
                if letter.wish == "skip":
                    outcome = "Skip"
                    return Skip()
                run.object.tokens.append(call.token)
                answer: Any = CALLBACKS[name][1][0]
                if letter.wish == "repeat":
                    answer = Repeat()
                outcome = _name_of(answer)
                return answer
            finally:
                self._end(call, outcome)

        callback.__annotations__["letter"] = Letter
        callback.__name__ = name
        return callback

    def _timeout(self, name: str, stage: Stage) -> Any:
        async def timeout(run: Run[Basket, Stage]) -> Any:
            call = self._begin("timeout", name, run)
            drawn = self._draw(call, run)
            outcome = "interrupted"
            try:
                if name == "remind" and 0.2 < drawn < 0.5:
                    outcome = "Skip"
                    self.world.goal("a timeout answered Skip")
                    return Skip()
                await self._dawdle(call, drawn)
                answer = self._answer(call, drawn, TIMEOUT_GOALS[name], run)
                outcome = _name_of(answer)
                return answer
            except Trouble:
                outcome = "raised"
                raise
            finally:
                self._end(call, outcome)

        timeout.__name__ = name
        return timeout

    def _after(self, name: str) -> Any:
        async def after(run: Any) -> Any:
            drawn = self.world.chance.draw("after", name, run.foreign_id, run.version)
            await asyncio.sleep(0.001)
            if 0.8 < drawn < 0.9 and not self.world.is_healed:
                raise Trouble("after")
            if name == "due" and drawn > 0.9:
                self._asked(run, name, None)
                return None
            wait = timedelta(seconds=round(drawn * 12, 3), microseconds=1)
            if drawn < 0.4:
                self._asked(run, name, to_instant(run.entered_at + wait))
                return wait
            when = run.entered_at + wait
            self._asked(run, name, to_instant(when))
            return to_datetime(to_instant(when))

        return after

    def _asked(self, run: Any, name: str, due_at: int | None) -> None:
        entered = run._record.entered_version  # noqa: SLF001 -- the witness may look
        self.world.history.timers.append(TimerAsked(run.id, entered, name, due_at))

    def _hook(self, name: str) -> Any:
        async def hook(change: Change[Basket, Stage]) -> None:
            world = self.world
            await asyncio.sleep(0.0005)
            told = (change.run.id, change.version, int(change.run_state))
            drawn = world.chance.draw("hook", name, change.run.foreign_id, change.version)
            count = self._calls[(name, *map(str, told))] = (
                self._calls.get((name, *map(str, told)), 0) + 1
            )
            is_ok = world.is_healed or drawn < 0.75 or (drawn < 0.95 and count > 2)
            at = round(world.loop.time(), 6)
            call = HookCall(at, name, *told, change.run.version, is_ok, NODE.get())
            world.history.hooks.append(call)
            world.note("hook", name, change.run.foreign_id, change.version, is_ok)
            if not is_ok:
                raise Trouble("hook")

        hook.__name__ = name
        return hook

    async def _feed(self, workflow: Any, event: Any) -> None:
        world = self.world
        count = self._calls[("feed", event.id)] = self._calls.get(("feed", event.id), 0) + 1
        drawn = world.chance.draw("feed", event.id)
        is_ok = world.is_healed or drawn < 0.7 or count > 2
        at = round(world.loop.time(), 6)
        world.history.source_calls.append(
            SourceCall(at, event.id, event.foreign_id, is_ok, NODE.get())
        )
        if not is_ok and drawn < 0.85:
            raise Trouble("feed")
        await world.trigger_from_feed(workflow, event)
        if not is_ok:
            raise Trouble("feed, after its trigger")


def _name_of(answer: Any) -> str:
    return str(answer.name) if isinstance(answer, IntEnum) else type(answer).__name__


__all__ = ["Basket", "Flow", "Letter", "Stage", "edges", "step_topic"]
