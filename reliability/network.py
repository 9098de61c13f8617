"""Network: every call from a node to a server, with what can go wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from reliability.chance import Chance
from reliability.fault import Fault
from reliability.loop import NODE, SimLoop, context_of
from stepgraph.errors import OutcomeUnknownError, UnavailableError

CALL_LIMIT = 3.0


class Request(NamedTuple):
    """One call: of a node, to a server."""

    node: str
    server: str
    name: str
    is_write: bool


class Network:
    """Carries calls; what it does to each is drawn from the faults that are at work just then."""

    def __init__(self, loop: SimLoop, chance: Chance, note: Callable[..., None]) -> None:
        self._loop = loop
        self._chance = chance
        self._random = chance.stream("network")
        self._note = note
        self._streams: dict[int, Random] = {}
        self._server = context_of("")
        self.active: list[Fault] = []
        self.injected: dict[str, int] = {}
        self.controller: Any = None

    def _fault(self, request: Request, *kinds: str) -> Fault | None:
        """Return a fault of one of these kinds that strikes this call."""
        for fault in self.active:
            if (
                fault.kind in kinds
                and fault.server in ("", request.server)
                and (not fault.node or request.node.startswith(fault.node))
            ):
                if fault.kind in ("down", "partition", "slow") or self.strikes(fault):
                    self.count(fault.kind)
                    return fault
        return None

    def strikes(self, fault: Fault) -> bool:
        """Draw whether a fault that strikes now and then strikes now."""
        random = self._streams.get(fault.number)
        if random is None:
            random = self._streams[fault.number] = self._chance.stream("strike", fault.number)
        return random.random() < fault.amount

    def count(self, kind: str) -> None:
        """Count an injected fault."""
        self.injected[kind] = self.injected.get(kind, 0) + 1

    def find(self, kind: str) -> Fault | None:
        """Return a fault of a kind that is at work and strikes, for what is not a call."""
        for fault in self.active:
            if fault.kind == kind and self.strikes(fault):
                self.count(kind)
                return fault
        return None

    def delay(self) -> float:
        """Return how long one way takes: mostly little, sometimes much."""
        drawn = self._random.random()
        if drawn < 0.97:
            return 0.0002 + drawn * 0.002
        return self._random.uniform(0.005, 0.3)

    async def call(
        self, server: str, name: str, execute: Callable[[], Any], *, is_write: bool = False
    ) -> Any:
        """Have `execute` run at the server, whole and at one instant, and return what it returns.

        Raises `UnavailableError`, or `OutcomeUnknownError` if a write may have happened.
        """
        request = Request(NODE.get(), server, name, is_write)
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.controller is not None:
            self.controller.submit(request, execute, answer)
            return await answer
        slow = self._fault(request, "slow")
        factor = slow.amount if slow is not None else 1.0
        there, back = self.delay() * factor, self.delay() * factor
        fate = self._fault(request, "down", "partition", "request lost", "answer lost", "late")
        kind = fate.kind if fate is not None else ""
        if kind == "late":
            there = CALL_LIMIT + 0.1 + self._random.random() * 27
        self._note("call", request.node, server, name, kind)
        if kind == "down" and self._random.random() < 0.5:
            await asyncio.sleep(min(there, CALL_LIMIT))
            raise UnavailableError(f"{server} refuses the connection")
        if kind in ("down", "partition", "request lost"):
            self._give_up(answer, request)
            return await answer
        is_answered = kind != "answer lost" and there + back < CALL_LIMIT
        if not is_answered:
            self._give_up(answer, request)

        def arrive() -> None:
            try:
                result, error = execute(), None
            except Exception as raised:  # noqa: BLE001 -- the answer of a server
                result, error = None, raised
            if is_answered:
                self._loop.call_later(back, _settle, answer, result, error, context=self._server)

        self._loop.call_later(there, arrive, context=self._server)
        return await answer

    def _give_up(self, answer: asyncio.Future[Any], request: Request) -> None:
        kind = OutcomeUnknownError if request.is_write else UnavailableError
        error = kind(f"{request.server} did not answer {request.name}")
        self._loop.call_later(CALL_LIMIT, _settle, answer, None, error)


def _settle(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
