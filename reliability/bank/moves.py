"""Mistakes in how a record follows from the one before, and in what it announces."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from reliability.bank.planted import Planting, bug
from stepgraph.engine import control
from stepgraph.engine import moves as moves_module
from stepgraph.engine.announce import Announcer
from stepgraph.engine.moves import Moves
from stepgraph.model.work_name import WorkName
from stepgraph.ports import identity


def _change(planting: Planting, method: str, change: Any) -> None:
    original = getattr(Moves, method)

    def changed(self: Any, record: Any, *words: Any, **more: Any) -> Any:
        return change(record, original(self, record, *words, **more))

    planting.put(Moves, method, changed)


def _with(write: Any, **fields: Any) -> Any:
    return replace(write, record=replace(write.record, **fields))


@bug("an outbox row is left out of the transaction", "I16")
def work_row_is_lost(planting: Planting) -> None:
    row = Announcer.work_row

    def lost(self: Any, foreign_id: Any, run_id: Any, status: Any, version: Any, due: Any) -> Any:
        return () if version % 4 == 0 else row(self, foreign_id, run_id, status, version, due)

    planting.put(Announcer, "work_row", lost)


@bug("found: a version that keeps its due instant keeps its row's key", "I16")
def versions_share_a_row_key(planting: Planting) -> None:
    planting.put(moves_module, "due_apart", lambda record, due_at, now: due_at)


@bug("an object is written with a change too many", "I9")
def a_change_is_doubled(planting: Planting) -> None:
    _change(planting, "advanced", lambda r, w: _double(w))


def _double(write: Any) -> Any:
    data = write.record.object
    _, found, tail = data.partition(b'"step:DRAFT')
    if not found:
        return write
    token = b'"step:DRAFT' + tail.partition(b'"')[0] + b'"'
    return _with(write, object=data.replace(token, token + b"," + token))


@bug("a run that came to its end is Running", "I11", "I39", "I4")
def the_end_is_not_completed(planting: Planting) -> None:
    _change(planting, "advanced", lambda r, w: _with(w, run_state=2) if r.version == 2 else w)


@bug("the birthday of a run moves", "I10")
def created_at_moves(planting: Planting) -> None:
    _change(planting, "resumed", lambda r, w: _with(w, created_at=w.record.updated_at))


@bug("pause is not checked against the end", "I4", "I5")
def a_stopped_run_is_paused(planting: Planting) -> None:
    planting.put(control, "_refusal", lambda supervisor, order, record: "")


@bug("decisions 5: the count is kept after a resume", "I1", "I23")
def count_is_kept_after_resume(planting: Planting) -> None:
    _change(planting, "paused_by_errors", lambda r, w: _with(w, attempt=r.attempt + 1))


@bug("decisions 5: resume drops a delay that was asked for", "I26")
def resume_drops_the_delay(planting: Planting) -> None:
    resumed = Moves.resumed

    def at_once(self: Any, record: Any, by: Any, finished: Any) -> Any:
        return resumed(
            self, replace(record, next="step") if record.next == "delay" else record, by, finished
        )

    planting.put(Moves, "resumed", at_once)


@bug("Repeat(after=) goes on at once", "I26")
def repeat_ignores_its_delay(planting: Planting) -> None:
    repeated = Moves.repeated

    def at_once(self: Any, record: Any, after: int, data: Any, by: Any, finished: Any) -> Any:
        return repeated(self, record, 0, data, by, finished)

    planting.put(Moves, "repeated", at_once)


@bug("trigger(after=) starts at once", "I26")
def delayed_trigger_starts_at_once(planting: Planting) -> None:
    created = Moves.created
    planting.put(
        Moves, "created", lambda self, creation: created(self, replace(creation, due_at=None))
    )


@bug("decisions 5: Skip is not durable", "I23", "I40")
def skip_is_not_durable(planting: Planting) -> None:
    skipped = Moves.skipped

    def waits_on(self: Any, record: Any, finished: Any) -> Any:
        return _with(skipped(self, record, ()), next=record.next)

    planting.put(Moves, "skipped", waits_on)


@bug("resume makes a new entry", "I28", "I39")
def resume_is_an_entry(planting: Planting) -> None:
    _change(planting, "resumed", lambda r, w: _with(w, entered_version=w.record.version))


@bug("decisions 2: one key for all functions of a visit", "idempotency key")
def key_is_shared(planting: Planting) -> None:
    key = WorkName.key

    def shared(self: Any, record: Any) -> str:
        return key(self._replace(kind="", name=""), record)

    planting.put(WorkName, "key", shared)


@bug("a pause changes the key of the work", "idempotency key")
def pause_changes_the_key(planting: Planting) -> None:
    _change(planting, "resumed", lambda r, w: _with(w, progress_version=w.record.version))


@bug("a cancel is told to no hook", "I16", "I24")
def cancel_has_no_hook_rows(planting: Planting) -> None:
    rows = Announcer.hook_rows

    def none(self: Any, record: Any, previous: int) -> Any:
        return () if record.run_state == 5 else rows(self, record, previous)

    planting.put(Announcer, "hook_rows", none)


@bug("A9, D6: an entry's timers are not in its write", "I16", "I39")
def entry_has_no_timers(planting: Planting) -> None:
    rows = Announcer.entry_rows

    def some(self: Any, record: Any, due_at: int) -> Any:
        found = rows(self, record, due_at)
        return (
            found if record.version != 3 else tuple(r for r in found if "/time" not in r.consumer)
        )

    planting.put(Announcer, "entry_rows", some)


@bug("A2: an action is not compared with what was seen", "I38")
def seen_version_is_ignored(planting: Planting) -> None:
    obey = control.obey

    async def anyway(supervisor: Any, order: Any, look_up: Any) -> Any:
        return await obey(supervisor, order._replace(seen=None), look_up)

    from stepgraph import runs

    planting.put(runs, "obey", anyway)


@bug("D13: a key makes an id without the foreign id", "I7", "I15", "I14")
def keyed_id_ignores_the_owner(planting: Planting) -> None:
    keyed = identity.keyed_run_id
    from stepgraph.engine import trigger

    planting.put(
        trigger, "keyed_run_id", lambda workflow, foreign_id, key: keyed(workflow, "", "k")
    )
