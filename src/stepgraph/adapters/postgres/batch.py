"""One commit call: many writes in one statement, and what became of those that did not win."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from stepgraph.adapters.postgres.rows import (
    change_row,
    child_row,
    columns_of,
    create_row,
    history_row,
    queue_row,
    record_of,
)
from stepgraph.adapters.postgres.statement import (
    CHANGE,
    CHANGE_WIDTH,
    CHANGE_WITH_CHILDREN,
    CHILD_WIDTH,
    CREATE,
    CREATE_WIDTH,
    CREATE_WITH_CHILDREN,
    HISTORY_WIDTH,
    KEY_WIDTH,
    NAME_WIDTH,
    QUEUE_WIDTH,
    TAKE_WIDTH,
)
from stepgraph.model.queue import QueueKey
from stepgraph.model.write import (
    BUSY,
    COMMITTED,
    Conflict,
    Exists,
    InProgress,
    Result,
    Write,
)

Fetch: TypeAlias = Callable[..., Awaitable[list[Any]]]


async def commit_batch(
    fetch: Fetch, writes: Sequence[Write], finished: Sequence[QueueKey]
) -> list[Result]:
    """Apply a call's writes, all creates or all changes, sorted so that no two calls deadlock."""
    is_creating = bool(writes) and writes[0].expected_version == 0
    values = arguments(writes, finished, is_creating=is_creating)
    if any(write.children or write.takes_children for write in writes):
        statement = CREATE_WITH_CHILDREN if is_creating else CHANGE_WITH_CHILDREN
        values += _children(writes)
    else:
        statement = CREATE if is_creating else CHANGE
    losers = await fetch(statement, *values)
    results: list[Result] = [COMMITTED] * len(writes)
    if losers:
        places = {write.record.run_id: place for place, write in enumerate(writes)}
        for row in losers:
            place = places[row[0]]
            results[place] = _lost(writes[place], row)
    return results


def arguments(
    writes: Sequence[Write], finished: Sequence[QueueKey], *, is_creating: bool
) -> list[Any]:
    """Return the arrays of a commit statement, in its order."""
    if is_creating:
        ordered = sorted(writes, key=lambda w: (w.record.workflow, w.record.foreign_id))
        given = columns_of([create_row(w) for w in ordered], CREATE_WIDTH)
    else:
        ordered = sorted(writes, key=lambda w: w.record.run_id)
        given = columns_of([change_row(w) for w in ordered], CHANGE_WIDTH)
    names = [
        (w.record.run_id, u.scope, u.key, u.body, w.record.workflow, w.record.updated_at)
        for w in ordered
        for u in w.unique
    ]
    history = [history_row(h) for w in ordered if (h := w.history) is not None]
    done = [(w.record.run_id, *key) for w in ordered for key in w.finished]
    done += [("", *key) for key in finished]
    queued = [(w.record.run_id, *queue_row(row)) for w in ordered for row in w.enqueue]
    return [
        *given,
        *columns_of(names, NAME_WIDTH),
        *columns_of(history, HISTORY_WIDTH),
        *columns_of(done, KEY_WIDTH),
        *columns_of(queued, QUEUE_WIDTH),
    ]


def _children(writes: Sequence[Write]) -> list[Any]:
    """Return the arrays of the children that joins take, and of those that begin."""
    takes = sorted((w.record.run_id, w.record.version) for w in writes if w.takes_children)
    children = [(w.record.run_id, *child_row(child)) for w in writes for child in w.children]
    return [*columns_of(takes, TAKE_WIDTH), *columns_of(children, CHILD_WIDTH)]


def _lost(write: Write, row: Sequence[Any]) -> Result:
    """Say what became of a write that did nothing now, from what was stored before the call."""
    _, is_taken, is_ours, is_buried, open_run_id, *columns = row
    if is_buried:
        return Exists(write.record.run_id)
    if is_ours:
        return COMMITTED
    stored = record_of(columns) if columns[0] is not None else None
    if is_taken:
        return Conflict(stored)
    if write.expected_version == 0:
        if stored is not None:
            return Exists(stored.run_id)
        # Neither: it met a create that had not committed when this call began.
        return InProgress(open_run_id) if open_run_id is not None else BUSY
    expected_attempt = write.expected_attempt
    if (
        stored is not None
        and stored.version == write.expected_version
        and expected_attempt in {None, stored.attempt}
    ):
        return BUSY
    return Conflict(stored)
