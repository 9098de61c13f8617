"""Timer: when a timeout is due, as the user says it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, TypeAlias, TypeVar

from stepgraph.model.run import Snapshot

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)

When: TypeAlias = timedelta | datetime | None
# One callable with a union result: for a union of callables a lambda's parameter is not inferred.
Timer: TypeAlias = (
    timedelta | datetime | Callable[[Snapshot[O, S]], When | Coroutine[Any, Any, When]]
)
