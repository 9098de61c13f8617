"""Awaiting: who waits for which run; woken by this process's commits and by one batched look-up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stepgraph.errors import UnavailableError
from stepgraph.model.record import Record, RunRef
from stepgraph.model.write import Write
from stepgraph.ports.clock import pause_seconds
from stepgraph.ports.log import Log
from stepgraph.ports.record_store import RecordStore

_FIRST_SECONDS, _LAST_SECONDS = 0.02, 1.0


class Waiter:
    """One caller that waits for a run to change."""

    __slots__ = ("changed", "record", "ref")

    def __init__(self, ref: RunRef, record: Record) -> None:
        """Wait for `ref`, which was last seen as `record`."""
        self.ref = ref
        self.record = record
        self.changed = asyncio.Event()

    def show(self, record: Record) -> None:
        """Take a newer version."""
        if record.version > self.record.version:
            self.record = record
            self.changed.set()


class Awaiting:
    """One registry for all callers of a process."""

    def __init__(self, store: RecordStore, log: Log) -> None:
        """Look runs up in `store`."""
        self._log = log
        self._store = store
        self._waiters: dict[str, list[Waiter]] = {}
        self._came = asyncio.Event()

    def add(self, waiter: Waiter) -> None:
        """Show this waiter every newer version of its run."""
        self._waiters.setdefault(waiter.ref.run_id, []).append(waiter)
        self._came.set()

    def remove(self, waiter: Waiter) -> None:
        """Forget a waiter."""
        waiters = self._waiters.get(waiter.ref.run_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(waiter.ref.run_id, None)

    def committed(self, writes: Sequence[Write]) -> None:
        """Show what this process has just committed."""
        if not self._waiters:
            return
        for write in writes:
            for waiter in self._waiters.get(write.record.run_id, ()):
                waiter.show(write.record)

    async def run(self) -> None:
        """Look up what is awaited: often after it moved, rarely while nothing does, for ever."""
        delay = _FIRST_SECONDS
        while True:
            if not self._waiters:
                self._came.clear()
                await self._came.wait()
                delay = _FIRST_SECONDS
            await pause_seconds(delay)
            has_moved = await self._look()
            delay = _FIRST_SECONDS if has_moved else min(_LAST_SECONDS, delay * 1.5)

    async def _look(self) -> bool:
        refs = [waiters[0].ref for waiters in self._waiters.values() if waiters]
        try:
            records = await self._store.lookup_many(refs)
        except UnavailableError as error:
            self._log.warning("awaited runs cannot be looked up, trying again", error=error)
            return False
        has_moved = False
        for record in records:
            for waiter in self._waiters.get(record.run_id, ()) if record is not None else ():
                if record is not None and record.version > waiter.record.version:
                    has_moved = True
                    waiter.show(record)
        return has_moved
