"""Caller: calls one of the user's functions, on the loop or in a thread, with its resources."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from stepgraph.definition import Function
from stepgraph.engine.threads import Threads


class Caller:
    """A function that does not move a run by its answer: a hook, a connector, a schedule."""

    def __init__(
        self, function: Function, resources: Mapping[str, object], threads: Threads
    ) -> None:
        """Call `function` with those of `resources` that it asks for."""
        self.name = function.name
        self._function = function.function
        self._is_async = function.is_async
        self._threads = threads
        self._resources = {n: resources[n] for n in function.resource_names if n in resources}

    async def call(self, *arguments: object) -> Any:
        """Return what the function returns, or raise what it raises."""
        if self._is_async:
            return await self._function(*arguments, **self._resources)
        return await self._threads.call(partial(self._function, *arguments, **self._resources))
