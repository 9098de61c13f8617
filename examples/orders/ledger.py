"""The payment provider of the example: a ledger file of its own, which knows keys.

A real provider does the same with the idempotency key of a request: the first call charges, a
repeat gets the answer of the first.
"""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path


class ProviderAwayError(Exception):
    """The provider does not answer; the charge may have happened."""


class Ledger:
    """Charges, each under its key; shared by all processes on one file."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at `path`."""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("pragma busy_timeout = 10000")
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute(
            "create table if not exists charge"
            " (key text primary key, order_name text, cents integer, calls integer)"
        )

    def charge(self, key: str, order_name: str, cents: int, attempt: int) -> str:
        """Charge once for each key, and be away for every fifth order's first two calls.

        Half of the failures come after the charge was made: a caller that would not repeat under
        the same key would charge twice, or lose the money.
        """
        chance = zlib.crc32(order_name.encode()) % 10
        if chance == 0 and attempt <= 2:
            raise ProviderAwayError("no answer")
        self._connection.execute(
            "insert into charge values (?, ?, ?, 1) on conflict (key) do update set calls = calls + 1",
            (key, order_name, cents),
        )
        if chance == 1 and attempt <= 2:
            raise ProviderAwayError("the connection broke after the charge")
        return f"receipt-{key[:8]}"

    def charges(self) -> dict[str, list[int]]:
        """Return the cents charged for each order."""
        found: dict[str, list[int]] = {}
        for order_name, cents in self._connection.execute("select order_name, cents from charge"):
            found.setdefault(order_name, []).append(cents)
        return found

    def repeated_calls(self) -> int:
        """Return how many calls repeated an earlier one."""
        row = self._connection.execute("select coalesce(sum(calls - 1), 0) from charge").fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
