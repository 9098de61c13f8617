"""ResumeHandler: lets runs that were paused by errors go on when their time has come."""

from __future__ import annotations

from stepgraph.engine.commit import Answer, Committer
from stepgraph.engine.inbox import Inbox
from stepgraph.engine.moves import By, Moves
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.record import Record
from stepgraph.model.run_state import RunState
from stepgraph.model.write import Committed, Conflict, Write
from stepgraph.ports.record_store import RecordStore


class ResumeHandler:
    """Resumes only what is still paused at the very version that its errors paused it at."""

    def __init__(
        self, moves: Moves, store: RecordStore, committer: Committer, inbox: Inbox
    ) -> None:
        """Resume runs of one workflow."""
        self._moves = moves
        self._store = store
        self._committer = committer
        self._inbox = inbox

    async def handle(self, batch: list[Work]) -> None:
        """Resume what still waits for it."""
        try:
            records = await self._store.lookup_many([work.ref for work in batch])
        except UnavailableError:
            for work in batch:
                self._inbox.release(work)
            raise
        for work, record in zip(batch, records, strict=True):
            if record is not None and self._waits(work, record):
                by = By("control", "resume", "stepgraph: pause_retry")
                write = self._moves.resumed(record, by, work.finished)
                self._committer.submit(write, self._committed, work)
            else:
                self._committer.finish(work.finished)
                self._inbox.finish(work)

    def _waits(self, work: Work, record: Record) -> bool:
        return record.version == work.version and record.run_state == RunState.PAUSED

    def _committed(self, work: Work, _: Write, answer: Answer) -> None:
        if isinstance(answer, (Committed, Conflict)):
            self._committer.finish(work.finished)
            self._inbox.finish(work)
        else:
            # The store is away, or refuses it now: nothing else would resume the run.
            self._inbox.release(work)

    def stop(self, reason: str, slots: frozenset[int] | None = None) -> None:
        """Do nothing: a write that is on its way ends by itself."""
