"""The table from PostgreSQL's and asyncpg's errors to ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

from stepgraph.errors import OutcomeUnknownError, RefusedError, UnavailableError, WorkflowError

# The classes of SQLSTATE by which the server says that it did nothing, and would not do it either
# if it were asked again: data, cardinality, integrity, rollback, names and rights, limits, locks.
_REFUSED = ("0A", "21", "22", "23", "40", "42", "54", "55")
# Those of them that met others: a commit is taken apart and repeated above, the rest only waits.
_PASSING = ("40", "55")
# Those by which it says that it did nothing because it could not: resources, cancelled, read-only.
_NOTHING_DONE = ("53", "57014", "25006")


@contextmanager
def translated(server: str, *, is_commit: bool = False) -> Generator[None]:
    """Raise our errors for the driver's: refused for good, away, or, of a commit, unknown."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _error_of(error, f"{server}: {error}", is_commit=is_commit) from error
    except (asyncpg.InterfaceError, ConnectionRefusedError) as error:
        # The driver says so before it sends anything.
        raise UnavailableError(f"{server}: {error}") from error
    except (asyncpg.InternalClientError, OSError) as error:
        kind = OutcomeUnknownError if is_commit else UnavailableError
        text = str(error) or "no answer in time"
        raise kind(f"{server}: {text}: the server or the way to it is away") from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise RefusedError(f"{server}: {error}") from error


def _error_of(error: asyncpg.PostgresError, text: str, *, is_commit: bool) -> WorkflowError:
    """Return our error; the driver raises some of the server's kinds by itself, without a code."""
    state = error.sqlstate or ""
    if state.startswith(_REFUSED) and (is_commit or not state.startswith(_PASSING)):
        return RefusedError(text)
    if is_commit and not state.startswith(_NOTHING_DONE):
        return OutcomeUnknownError(text)
    return UnavailableError(text)
