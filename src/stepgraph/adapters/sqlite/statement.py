"""ManyRows: one statement for any number of rows, executed in few pieces."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

_LARGEST = 256


class ManyRows:
    """A statement whose rows are written out as placeholders.

    The driver gives up the interpreter's lock for every statement, and has to win it back from the
    busy event loop after it, so hundreds of rows must not be hundreds of statements. Rows go into
    pieces of 256, 128, ... 1 of them: at most one piece of each smaller size, so that each size is
    prepared once and stays in the connection's cache.
    """

    def __init__(self, head: str, row: str, tail: str = "", separator: str = ", ") -> None:
        """Put the text of `row` between `head` and `tail`, as often as there are rows."""
        self._head = head
        self._row = row
        self._tail = tail
        self._separator = separator
        self._texts: dict[int, str] = {}

    def text(self, count: int) -> str:
        """Return the statement for `count` rows."""
        found = self._texts.get(count)
        if found is None:
            found = self._head + self._separator.join([self._row] * count) + self._tail
            self._texts[count] = found
        return found

    def execute(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute for all rows; return how many rows of the table changed."""
        changed = first = 0
        size = _LARGEST
        while first < len(rows):
            while size > len(rows) - first:
                size //= 2
            names = tuple(chain.from_iterable(rows[first : first + size]))
            changed += connection.execute(self.text(size), names).rowcount
            first += size
        return changed


def placeholders(columns: int, last: str = "?") -> str:
    """Return one row of placeholders; `last` stands for the last column."""
    return "(" + "?, " * (columns - 1) + last + ")"
