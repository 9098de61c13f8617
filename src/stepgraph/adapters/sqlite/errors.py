"""The table from SQLite's errors to ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from stepgraph.errors import RefusedError, UnavailableError


@contextmanager
def translated(path: str) -> Generator[None]:
    """Raise our errors for SQLite's: away for a while, or refused for good."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UnavailableError(
            f"{path}: {error}: the file, its disk or its lock is away"
        ) from error
    except (
        sqlite3.IntegrityError,
        sqlite3.DataError,
        OverflowError,
        sqlite3.InterfaceError,
    ) as error:
        raise RefusedError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise UnavailableError(f"{path}: {error}") from error
    except UnicodeEncodeError as error:
        raise RefusedError(f"{path}: {error}") from error
