"""A worker in a thread with a loop of its own, as another process would be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from stepgraph import Workflow


@contextmanager
def working(workflow: Workflow[Any, Any]) -> Generator[None]:
    """Have the workflow work on runs inside the block."""
    started = threading.Event()
    ends: list[Any] = []

    async def work() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        ends.append(lambda: loop.call_soon_threadsafe(over.set))
        async with workflow:
            started.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert started.wait(30)
    try:
        yield
    finally:
        ends[0]()
        thread.join()
