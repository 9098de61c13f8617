"""Stores that fail at a chosen write: once, or from there on as if the process had died."""

from __future__ import annotations

from typing import Any, Literal

from stepgraph.errors import OutcomeUnknownError, RefusedError, UnavailableError

WRITES = {
    "record_store": ("commit",),
    "work_queue": ("put", "park"),
    "child_store": ("end", "scrub_staged"),
}


class Plan:
    """Counts writes and fails at number `at` (from 0); `kind` says how."""

    def __init__(self, at: int, kind: Literal["before", "after", "death"]) -> None:
        self.at = at
        self.kind = kind
        self.count = 0

    async def run(self, name: str, method: Any, args: Any, kwargs: Any) -> Any:
        """Do the write, or fail before or after it; the row of the retention is let through."""
        if name == "put" and all(row.consumer.endswith("/retention") for _, row in args[0]):
            return await method(*args, **kwargs)
        number, self.count = self.count, self.count + 1
        if self.kind == "death" and number >= self.at:
            # Refused at once, so that nobody waits for a store that never comes back.
            raise (RefusedError if name == "commit" else UnavailableError)("dead")
        if number != self.at:
            return await method(*args, **kwargs)
        if self.kind == "before":
            raise UnavailableError("away before it was written")
        await method(*args, **kwargs)
        raise OutcomeUnknownError("away after it was written")


class FailingPort:
    """A port whose writes go through a plan."""

    def __init__(self, port: Any, names: tuple[str, ...], plan: Plan) -> None:
        self._port = port
        self._names = names
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in self._names:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._plan.run(name, method, args, kwargs)

        return call


def failing(backend: Any, plan: Plan) -> Any:
    """Return the backend, whose writes now go through `plan`."""
    for port, names in WRITES.items():
        setattr(backend, port, FailingPort(getattr(backend, port), names, plan))
    return backend
