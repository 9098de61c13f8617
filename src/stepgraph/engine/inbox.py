"""Inbox: what one consumer has in hand, bounded, fed by its receivers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection

from stepgraph.engine.work import Work

BATCH = 500


class Inbox:
    """Ready work in order of arrival, and everything in hand by its id: one work a run at a time.

    `window` bounds what is in hand. Receivers that set `is_asked_for_room` are called when half of
    it is free again.
    """

    def __init__(self, window: int) -> None:
        """Hold at most `window` pieces of work."""
        self.window = window
        self.slots: Collection[int] = ()
        self.in_hand: dict[str, Work] = {}
        self._ready: deque[Work] = deque()
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._left = asyncio.Event()
        self._has_room: list[Callable[[], None]] = []
        self.is_asked_for_room = True
        self.on_finish: Callable[[Work], None] | None = None
        self.is_closed = False

    @property
    def room(self) -> int:
        """Return how much more work may be taken in."""
        return 0 if self.is_closed else self.window - len(self.in_hand)

    def on_room(self, call: Callable[[], None]) -> None:
        """Call a receiver's function when there is room that was asked for."""
        self._has_room.append(call)

    def offer(self, work: Work) -> bool:
        """Take work in; False if its slot is not held, or as `admit`."""
        return work.slot in self.slots and self.admit(work)

    def admit(self, work: Work) -> bool:
        """Take work of a held slot in; False without room, or with the same run in hand."""
        in_hand = self.in_hand
        if len(in_hand) >= self.window or self.is_closed or work.id in in_hand:
            return False
        if not self._ready:
            self._arrived.set()
        if not in_hand:
            self._emptied.clear()
        in_hand[work.id] = work
        self._ready.append(work)
        return True

    async def take(self, limit: int) -> list[Work]:
        """Wait for work and return up to `limit` pieces in order of arrival."""
        while not self._ready:
            self._arrived.clear()
            await self._arrived.wait()
        ready = self._ready
        return [ready.popleft() for _ in range(min(limit, len(ready)))]

    def leave(self, work: Work) -> None:
        """Drop work from hand."""
        in_hand = self.in_hand
        if in_hand.get(work.id) is work:
            del in_hand[work.id]
            self._left.set()
            if not in_hand:
                self._emptied.set()
            if self.is_asked_for_room and len(in_hand) <= self.window // 2:
                self.ask()

    def ask(self) -> None:
        """Have every receiver fetch what it knows to be there."""
        self.is_asked_for_room = False
        for call in self._has_room:
            call()

    def drop_ready(self, slots: Collection[int] | None) -> None:
        """Drop what nobody has begun, of these slots or of all: it stays where it is stored."""
        ready = list(self._ready)
        self._ready.clear()
        for work in ready:
            if slots is None or work.slot in slots:
                self.release(work)
            else:
                self._ready.append(work)

    def release(self, work: Work) -> None:
        """Drop work unfinished: it will come again."""
        self.leave(work)
        work.source.left(work, is_finished=False)

    def finish(self, work: Work) -> None:
        """Drop work whose effect is stored, or that had none to have."""
        self.leave(work)
        work.source.left(work, is_finished=True)
        if self.on_finish is not None:
            self.on_finish(work)

    async def left(self) -> None:
        """Wait until some work leaves."""
        self._left.clear()
        await self._left.wait()

    async def emptied(self) -> None:
        """Wait until nothing is in hand."""
        await self._emptied.wait()
