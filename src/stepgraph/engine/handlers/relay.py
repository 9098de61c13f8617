"""RelayHandler: publishes outbox rows on a foreign stream; sent first, deleted after."""

from __future__ import annotations

from collections.abc import Callable

from stepgraph.engine.commit import Committer
from stepgraph.engine.inbox import Inbox
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.event import Event
from stepgraph.ports.event_streamer import EventSender


class RelayHandler:
    """A crash between the send and the delete repeats an event; the version gate drops it."""

    def __init__(
        self, sender: EventSender, committer: Committer, inbox: Inbox, now: Callable[[], int]
    ) -> None:
        """Publish through `sender`."""
        self._sender = sender
        self._committer = committer
        self._inbox = inbox
        self._now = now

    async def handle(self, batch: list[Work]) -> None:
        """Publish a batch, in order."""
        now = self._now()
        events = [
            Event(
                row.body.decode(), row.workflow, row.foreign_id, row.run_id, row.version,
                row.attempt, now,
            )
            for work in batch
            if (row := work.row) is not None
        ]  # fmt: skip
        try:
            await self._sender.send(events)
        except UnavailableError:
            for work in batch:
                self._inbox.release(work)
            raise
        self._committer.finish([key for work in batch for key in work.finished])
        for work in batch:
            self._inbox.finish(work)

    def stop(self, reason: str, slots: frozenset[int] | None = None) -> None:
        """Do nothing: a batch that is on its way ends by itself."""
