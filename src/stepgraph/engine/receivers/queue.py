"""QueueReceiver: one consumer's queue rows, handed over in memory or fetched from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from stepgraph.engine.inbox import Inbox
from stepgraph.engine.work import Work, work_of_row
from stepgraph.model.instant import SECOND
from stepgraph.model.queue import QueueKey, QueueRow, Want
from stepgraph.model.record import Record

_SLACK = SECOND // 2
_SWEEP_SECONDS = 1.0
_SWEEP_FACTOR = 20


class QueueReceiver:
    """Feeds an inbox with due rows.

    What this process commits for a slot that it holds is offered at once, with its record; the row
    stays in the store until it is finished. While the store is known to hold rows that did not fit
    (`is_behind`), offers are refused, so that the oldest work goes first. Where the store's clock
    has a say everything is fetched (`takes_handed` is False), and where a run's rows must go one by
    one and in order (`is_in_order`), too.

    A fetch starts half a second before the last row that one has brought, so that a backlog is not
    read again and again, and from the very beginning every second (or twenty times the duration of
    such a sweep): a row that was inserted first and committed last is found by the next sweep.
    """

    def __init__(self, consumer: str, inbox: Inbox, ask: Callable[[], None]) -> None:
        """Read for `consumer`; `ask` asks the queue reader to fetch."""
        self.consumer = consumer
        self.inbox = inbox
        self.is_hungry = True
        self.is_behind = False
        self.takes_handed = True
        self.is_in_order = False
        self._ask = ask
        self._is_fetching = False
        self._was_woken = False
        self._left_meanwhile: set[QueueKey] = set()
        self._loop = asyncio.get_running_loop()
        self._position = 0
        self._asked_at = 0.0
        self._answered_at = -1.0
        self._swept_at = -_SWEEP_SECONDS
        self._sweep_seconds = _SWEEP_SECONDS
        inbox.on_room(self._ask_if_hungry)

    def wake(self) -> None:
        """Know that the store may have due rows."""
        self._grow_hungry()
        self._was_woken = True
        self._ask_if_hungry()

    def sweep(self) -> None:
        """Read from the very beginning next time: a clock that was moved makes old rows due."""
        self._position = 0
        self.wake()

    def _ask_if_hungry(self) -> None:
        if self.is_hungry and not self._is_fetching and self.inbox.slots:
            self._ask()

    def _grow_hungry(self) -> None:
        """Want to fetch as soon as there is room."""
        self.is_hungry = True
        self.inbox.is_asked_for_room = True

    def hand_over(self, row: QueueRow, record: Record, loaded_at: float) -> None:
        """Take a due row of a held slot that this process committed in a call of `loaded_at`."""
        if self.is_in_order or not self.takes_handed:
            self.wake()
            return
        if not self.is_behind:
            if self._is_fetching or loaded_at <= self._answered_at:
                # A fetch may have brought the row before this slow answer came, and its work may
                # be done: the run is looked up.
                work = work_of_row(row, self)
            else:
                work = work_of_row(row, self, record, loaded_at)
            if self.inbox.admit(work):
                return
            self.is_behind = True
        self._grow_hungry()
        self._was_woken = True
        self._ask_if_hungry()

    def want(self) -> Want | None:
        """Say what to fetch, or None if there is nothing to ask or no room for it.

        Rows in hand are still in the store and come first, so they are asked for once more.
        """
        inbox = self.inbox
        if not self.is_hungry or self._is_fetching or not inbox.slots:
            return None
        if inbox.room < max(1, inbox.window // 2):
            inbox.is_asked_for_room = True
            return None
        self._is_fetching = True
        self._was_woken = False
        self._left_meanwhile.clear()
        self._asked_at = self._loop.time()
        if self._asked_at - self._swept_at >= self._sweep_seconds:
            self._position = 0
        limit = inbox.window + len(inbox.in_hand)
        return Want(self.consumer, tuple(inbox.slots), max(0, self._position - _SLACK), limit)

    def fetched(self, want: Want, rows: Iterable[QueueRow]) -> None:
        """Take what a fetch brought, but for what left while it was out."""
        self._is_fetching = False
        count = 0
        is_refused = False
        self._answered_at = self._loop.time()
        if want.after == 0:
            self._swept_at = self._answered_at
            seconds = self._swept_at - self._asked_at
            self._sweep_seconds = max(_SWEEP_SECONDS, _SWEEP_FACTOR * seconds)
        in_hand = self.inbox.in_hand
        for row in rows:
            count += 1
            self._position = max(self._position, row.due_at)
            work_id = row.run_id if self.is_in_order else row.id
            known = in_hand.get(work_id)
            if known is not None:
                # The same row is in hand; another row of the same run waits until that one left.
                is_refused |= known.key != row.key
            elif row.key not in self._left_meanwhile:
                work = work_of_row(row, self)
                work.id = work_id
                is_refused |= not self.inbox.offer(work)
        self._left_meanwhile.clear()
        self.is_behind = count >= want.limit or is_refused
        if is_refused:
            self._position = 0
        self.is_hungry = False
        if self.is_behind or self._was_woken:
            self._grow_hungry()
        if self._was_woken and not is_refused:
            self._ask_if_hungry()

    def failed(self) -> None:
        """Know that a fetch failed; the pulse asks again."""
        self._is_fetching = False

    def left(self, work: Work, *, is_finished: bool) -> None:
        """Remember what left during a fetch; what left unfinished is fetched again later."""
        if self._is_fetching and work.key is not None:
            self._left_meanwhile.add(work.key)
        if not is_finished:
            self._position = 0
            self._grow_hungry()
