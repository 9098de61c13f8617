"""The two commit statements: rows go in as arrays, and what comes back are the losers.

A change locks its runs without waiting (`skip locked`), updates what it has locked, and inserts
and deletes everything else for the runs that it updated, all in one statement that commits by
itself: no client can die holding locks. The last part reads what is stored of those that did not
win.

What keeps it fast whatever the planner believes of the tables: sets of ids are compared by hashed
subqueries (`(x in (...)) is true` cannot be made a join, which would compare every row with every
other), and stored rows are found by one index probe each (`lateral (... limit 1)` cannot be made a
walk over the whole index, which looks cheap while a table is empty).
"""

from __future__ import annotations

from itertools import count

_TYPES = {"t": "text[]", "i": "bigint[]", "b": "bytea[]", "o": "boolean[]"}

RECORD_COLUMNS = (
    "run_id, workflow, foreign_id, status, run_state, version, attempt, progress_version,"
    " entered_version, entered_at, created_at, updated_at, due_at, next, write_id, visited,"
    " reason, failure_type, failure_text, trace_origin, trace_parent, parent, object, is_keyed,"
    " is_announced, format"
)
HISTORY_COLUMNS = (
    "run_id, version, attempt, write_id, status, run_state, previous_run_state, cause, at,"
    " started_at, try_number, actor, reason, role, instance, object, error_type, message,"
    " traceback, next_at"
)
QUEUE_COLUMNS = "consumer, slot, due_at, id, workflow, foreign_id, run_id, version, attempt, body"
CHILD_COLUMNS = (
    "run_id, parent_run_id, progress_version, number, workflow, foreign_id, status,"
    " is_cancelled_with_parent, run_state, is_open, in_use_by, taken_version"
)
_CHANGED = (
    "status, run_state, version, attempt, progress_version, entered_version, entered_at,"
    " updated_at, due_at, next, write_id, visited, reason, failure_type, failure_text, object,"
    " is_announced, format, is_open"
)
_CREATE_TYPES = "tttiiiiiiiiiitbttttttt" + "booio"
_CHANGE_TYPES = "tiiiiiiiiiiitbttttboio"
_HISTORY_TYPES = "tiibiiitiiittttbttti"
_QUEUE_TYPES = "tiitt" + "ttiib"
_KEY_TYPES = "tiit"
_NAME_TYPES = "ttbti"
_TAKE_TYPES = "ti"
_CHILD_TYPES = "ttiittioioti"
CREATE_WIDTH = len(_CREATE_TYPES)
CHANGE_WIDTH = len(_CHANGE_TYPES)
HISTORY_WIDTH = len(_HISTORY_TYPES)
QUEUE_WIDTH = 1 + len(_QUEUE_TYPES)  # the run whose write a row belongs to comes first
KEY_WIDTH = 1 + len(_KEY_TYPES)
NAME_WIDTH = 1 + len(_NAME_TYPES)
TAKE_WIDTH = len(_TAKE_TYPES)
CHILD_WIDTH = 1 + len(_CHILD_TYPES)

REPLACE = (
    " on conflict (consumer, slot, due_at, id) do update set workflow = excluded.workflow,"
    " foreign_id = excluded.foreign_id, run_id = excluded.run_id, version = excluded.version,"
    " attempt = excluded.attempt, body = excluded.body"
)


def unnest(types: str, numbers: count[int] | None = None) -> str:
    """Return the rows of array parameters, one for each letter of `types`."""
    following = count(1) if numbers is None else numbers
    return "unnest(" + ", ".join([f"${next(following)}::{_TYPES[t]}" for t in types]) + ")"


def _children(numbers: count[int]) -> str:
    """Return what marks the children that runs had as given to a join, and starts others."""
    return (
        ", given_away as (update child set taken_version = taking.version from "
        + unnest(_TAKE_TYPES, numbers) + " as taking (run_id, version)"
        " where child.parent_run_id = taking.run_id and child.taken_version = 0"
        " and (taking.run_id in (select run_id from won)) is true),"
        " started as (insert into child (" + CHILD_COLUMNS + ") select " + CHILD_COLUMNS
        + " from " + unnest("t" + _CHILD_TYPES, numbers) + " as child (writer, "
        + CHILD_COLUMNS + ") where (writer in (select run_id from won)) is true"
        " on conflict do nothing) "
    )  # fmt: skip


def _around(types: str, columns: str, middle: str, losers: str, *, has_children: bool) -> str:
    """Return a commit statement; `middle` makes `won` of `given`, `losers` reads the others."""
    numbers = count(1)
    return (
        "with given as materialized (select * from " + unnest(types, numbers)
        + " as given (" + columns + ")),"
        " name as materialized (select * from " + unnest("t" + _NAME_TYPES, numbers)
        + " as name (writer, scope, key, body, workflow, at)),"
        " taken as materialized (select name.writer from name cross join lateral"
        " (select from unique_name where unique_name.scope = name.scope"
        " and unique_name.key = name.key limit 1) as known),"
        + middle
        + " kept as (insert into history (" + HISTORY_COLUMNS + ") select * from "
        + unnest(_HISTORY_TYPES, numbers) + " as history (" + HISTORY_COLUMNS + ")"
        " where (run_id in (select run_id from won)) is true),"
        " named as (insert into unique_name (scope, key, body, workflow, at)"
        " select scope, key, body, workflow, at from name"
        " where (writer in (select run_id from won)) is true),"
        " leaving as materialized (select found.place from "
        + unnest("t" + _KEY_TYPES, numbers)
        + " as done (writer, consumer, slot, due_at, id) cross join lateral"
        " (select queue.ctid as place from queue where queue.consumer = done.consumer"
        " and queue.slot = done.slot and queue.due_at = done.due_at and queue.id = done.id"
        " limit 1) as found"
        " where (done.writer = '' or done.writer in (select run_id from won)) is true),"
        " finished as (delete from queue using leaving where queue.ctid = leaving.place),"
        " queued as (insert into queue (" + QUEUE_COLUMNS + ") select " + QUEUE_COLUMNS
        + " from " + unnest("t" + _QUEUE_TYPES, numbers) + " as following (writer, "
        + QUEUE_COLUMNS + ") where (writer in (select run_id from won)) is true" + REPLACE + ") "
        + (_children(numbers) if has_children else "")
        + losers
    )  # fmt: skip


def _of(table: str, columns: str) -> str:
    return ", ".join([table + "." + column.strip() for column in columns.split(",")])


_LOSERS = (
    "select given.run_id, (given.run_id in (select writer from taken)) is true,"
    " coalesce(run.write_id = given.write_id, false) or exists (select from history"
    " where history.run_id = given.run_id and history.version = given.version"
    " and history.write_id = given.write_id), "
)
_STORED = (
    " from given left join lateral (select * from run where run.run_id = given.run_id limit 1)"
    " as run on true"
)
_NOT_WON = " where (given.run_id in (select run_id from won)) is not true"

_CREATE = (
    _CREATE_TYPES,
    RECORD_COLUMNS + ", is_open",
    " buried as materialized (select given.run_id from given cross join lateral"
    " (select from tombstone where tombstone.run_id = given.run_id limit 1) as known"
    " where given.is_keyed),"
    " won as (insert into run (" + RECORD_COLUMNS + ", is_open, ended_at)"
    " select given.*, case when given.is_open then null else given.updated_at end from given"
    " where (run_id in (select writer from taken)) is not true"
    " and (run_id in (select run_id from buried)) is not true"
    " on conflict do nothing returning run_id),",
    _LOSERS
    + "(given.run_id in (select run_id from buried)) is true, open.run_id, "
    + _of("run", RECORD_COLUMNS)
    + _STORED
    + " left join lateral (select run_id from run where run.workflow = given.workflow"
    + " and run.foreign_id = given.foreign_id and run.is_open limit 1) as open on true"
    + _NOT_WON,
)
# The column list of the rows that a change locks: what it compares, and what it sets.
_GIVEN = "run_id, expected_version, expected_attempt, " + _CHANGED
_CHANGE = (
    _CHANGE_TYPES,
    _GIVEN,
    " locked as materialized (select given.*, free.place from given cross join lateral"
    " (select run.ctid as place from run where run.run_id = given.run_id"
    " and run.version = given.expected_version"
    " and (given.expected_attempt is null or run.attempt = given.expected_attempt)"
    " for update skip locked) as free"
    " where (given.run_id in (select writer from taken)) is not true),"
    " won as (update run set "
    + ", ".join([f"{name.strip()} = locked.{name.strip()}" for name in _CHANGED.split(",")])
    + ", ended_at = case when locked.is_open then null else locked.updated_at end"
    + " from locked where run.ctid = locked.place returning run.run_id),",
    _LOSERS + "false, null, " + _of("run", RECORD_COLUMNS) + _STORED + _NOT_WON,
)
CREATE = _around(*_CREATE, has_children=False)
CHANGE = _around(*_CHANGE, has_children=False)
# Most calls have no children, and are spared the empty arrays.
CREATE_WITH_CHILDREN = _around(*_CREATE, has_children=True)
CHANGE_WITH_CHILDREN = _around(*_CHANGE, has_children=True)
