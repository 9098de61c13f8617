"""The shop's own database: a SQLite file with a table of invoices.

It is another file than the one that Stepgraph keeps its runs in (which no other program may write
to), so a step's row and the step's answer are two transactions. A process can die between them:
the row is there, the answer is not, and the step runs again. What makes that harmless is the
primary key: it is the run's idempotency key, the same at every try of this piece of work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class Shop:
    """Opens the file for each piece of work, in whatever thread it is called."""

    def __init__(self, path: Path) -> None:
        """Make the table if it is not there."""
        self._path = path
        with self.transaction() as connection:
            connection.execute(
                "create table if not exists invoice (key text primary key, number integer not null,"
                " customer text not null, cents integer not null check (cents > 0))"
            )

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Commit what is done inside, or nothing of it."""
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            connection.execute("begin immediate")
            with connection:
                yield connection
        finally:
            connection.close()

    def write_invoice(self, key: str, customer: str, cents: int) -> int:
        """Write an invoice, once for each key, and return its number: the same at every call."""
        with self.transaction() as connection:
            connection.execute(
                "insert into invoice select ?, 1 + coalesce(max(number), 0), ?, ? from invoice"
                " where true on conflict (key) do nothing",
                (key, customer, cents),
            )
            row = connection.execute("select number from invoice where key = ?", (key,)).fetchone()
        return int(row[0])

    def invoices(self) -> list[tuple[int, str, int]]:
        """Return number, customer and cents of every invoice."""
        with self.transaction() as connection:
            query = "select number, customer, cents from invoice order by number"
            return list(connection.execute(query))
