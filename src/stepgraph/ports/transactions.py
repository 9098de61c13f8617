"""Transactions: a store's own transactions, for user code whose statements join a commit."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from stepgraph.model.write import Result, Write


class Transactions(Protocol):
    """Writes that stand or fall with what the user writes beside them.

    `concurrency` is how many transactions it opens at once.
    """

    concurrency: int

    @abstractmethod
    def open(self, limit_seconds: float) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction on a connection of its own, and give the connection.

        It commits at the end of the block, and rolls back if the block raises. The server ends it
        by itself if nothing happens in it for `limit_seconds`. Raises `UnavailableError` if it
        cannot begin, or must be repeated as a whole, `RefusedError` if the server refuses to
        commit it, and `OutcomeUnknownError` if it does not say whether it did; what the block
        raises is raised as it is.
        """
        ...

    @abstractmethod
    async def write(self, connection: object, write: Write) -> Result:
        """Make a write in the transaction that is open on `connection`.

        It happens when that commits. Answers as `RecordStore.commit` does; an answer other than
        `Committed` leaves the transaction usable. Other processes are told of it when it commits.
        Raises `InputError` for what is no connection of this store's driver in a transaction.
        """
        ...

    @abstractmethod
    def is_passing(self, error: BaseException) -> bool:
        """Return whether a user's statement met others: the same again may well succeed."""
        ...


@runtime_checkable
class HasTransactions(Protocol):
    """A record store's backend that can let user code into its commits."""

    @property
    def transactions(self) -> Transactions:
        """The transactions."""
        ...
