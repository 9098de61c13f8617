"""Reading: a wait for a stream that is given up when the slots that it is for have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Reading:
    """One receive at a time.

    A stream that is silent would else keep a receiver open for slots that were lost and came back
    meanwhile, and what was dropped with them would not come again.
    """

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._task: asyncio.Task[Any] | None = None
        self._is_given_up = False

    def give_up(self) -> None:
        """End the wait, if there is one; what it would have brought comes again."""
        if self._task is not None and not self._is_given_up:
            self._is_given_up = True
            self._task.cancel()

    async def of(self, receive: Coroutine[Any, Any, T]) -> T | None:
        """Return what `receive` returns, or None if it was given up."""
        self._task = task = asyncio.current_task()
        try:
            return await receive
        except asyncio.CancelledError:
            if not self._is_given_up or task is None or task.uncancel():
                raise
            return None
        finally:
            self._task = None
            self._is_given_up = False
