"""TransactionalStep: a step's own statements and its commit in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stepgraph.engine.work import Work
from stepgraph.errors import RefusedError, UnavailableError
from stepgraph.model.record import Record
from stepgraph.model.write import BUSY, Committed, Result, Write
from stepgraph.ports.transactions import Transactions

# Beyond the step's own limit: the engine's watch ends the step first.
_GRACE_SECONDS = 10.0


class _RolledBackError(Exception):
    """Ends the block of a transaction that is not to commit."""


class TransactionalStep:
    """Stands around a step's transition.

    Only what makes progress commits with the user's statements. A failed attempt, Skip, and work
    that was told to stop roll back; the attempt is then written in a commit of its own. What met
    other transactions (a deadlock, a serialization failure, a run that somebody holds) comes again
    and counts for nothing.
    """

    def __init__(
        self,
        run: Callable[[Work, Record], Awaitable[Write | None]],
        failed: Callable[[Work, Record, BaseException], Write],
        transactions: Transactions,
        limit_seconds: float,
    ) -> None:
        """Call `run` in one of `transactions`; `failed` writes an attempt if that is refused."""
        self._run = run
        self._failed = failed
        self._transactions = transactions
        self._limit_seconds = limit_seconds + _GRACE_SECONDS

    async def __call__(self, work: Work, record: Record) -> Write | None:
        """Return the write; `work.answer` is set if it has been made already."""
        write: Write | None = None
        answer: Result | None = None
        try:
            async with self._transactions.open(self._limit_seconds) as connection:
                work.connection = connection
                write = await self._run(work, record)
                if write is None or not _is_progress(write, record) or work.stop_reason:
                    raise _RolledBackError
                answer = await self._transactions.write(connection, write)
                if type(answer) is not Committed:
                    raise _RolledBackError
        except _RolledBackError:
            if answer is BUSY:
                text = f"run {record.run_id} is held by another session"
                raise UnavailableError(text) from None
        except RefusedError as error:
            return self._failed(work, record, error)
        except Exception as error:
            if self._transactions.is_passing(error):
                raise UnavailableError(f"the transaction met others: {error}") from error
            raise
        finally:
            work.connection = None
        work.answer = answer
        return write


def _is_progress(write: Write, record: Record) -> bool:
    history = write.history
    return write.record.version > record.version and history is not None and history.failure is None
