"""Checking a definition: what would go wrong if it met the runs that are stored."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from msgspec import Struct

from stepgraph.definition import Definition
from stepgraph.engine.snapshot import DELETED_DATA
from stepgraph.engine.stored_definition import read_stored
from stepgraph.errors import CodecError, SchemaError
from stepgraph.model.identifier import cut_text
from stepgraph.model.problem import Problem
from stepgraph.model.record import Record, RunRef
from stepgraph.ports.backend import HasRecordStore
from stepgraph.ports.definition_store import DefinitionStore
from stepgraph.ports.record_store import RecordStore

_OPEN_LIMIT = 100_000
_ENDED_LIMIT = 50_000
_SAMPLE = 5
_READ_AT_ONCE = 50
_RELEASES = 100


class _Stored(Struct):
    """The stored runs of one status."""

    open_count: int = 0
    ended_count: int = 0
    runs: tuple[RunRef, ...] = ()

    @property
    def count(self) -> int:
        return self.open_count + self.ended_count


class _Survey(Struct):
    """What is stored, by status; `is_whole` unless there were more runs than are looked at."""

    statuses: dict[int, _Stored]
    is_whole: bool

    def of(self, status: int) -> _Stored:
        return self.statuses.get(status, _Stored())

    def number(self, count: int) -> str:
        return f"{count}" if self.is_whole else f"at least {count}"


async def problems_of(definition: Definition[Any, Any], backend: HasRecordStore) -> list[Problem]:
    """Return every problem, by status: of the graph first, then of the stored runs."""
    survey = await _survey(definition.name, backend)
    names = {status.value: status.name for status in definition.statuses}
    lost = sorted(set(survey.statuses) - set(names))
    former = await _former_names(definition.name, backend.definition_store) if lost else {}
    return [
        *_unreachable(definition, survey),
        *_dead_ends(definition, survey),
        *(_lost(definition, survey, status, former.get(status, "")) for status in lost),
        *await _unreadable(definition, survey, names, backend.record_store),
    ]


async def _survey(workflow: str, backend: HasRecordStore) -> _Survey:
    """Two bounded questions, whatever the number of runs or statuses."""
    count = backend.census.count_by_status
    still_open = await count(workflow, is_open=True, limit=_OPEN_LIMIT, sample=_SAMPLE)
    ended = await count(workflow, is_open=False, limit=_ENDED_LIMIT, sample=_SAMPLE)
    found: dict[int, _Stored] = {}
    for counted in still_open:
        found[counted.status] = _Stored(counted.count, 0, counted.runs)
    for counted in ended:
        stored = found.setdefault(counted.status, _Stored())
        stored.ended_count = counted.count
        stored.runs += counted.runs
    is_whole = (
        sum(counted.count for counted in still_open) < _OPEN_LIMIT
        and sum(counted.count for counted in ended) < _ENDED_LIMIT
    )
    return _Survey(found, is_whole)


async def _former_names(workflow: str, store: DefinitionStore) -> dict[int, str]:
    """Return what earlier releases called each status; the last name wins."""
    names: dict[int, str] = {}
    for stored in reversed(await store.list_definitions(workflow, _RELEASES)):
        try:
            blueprint = read_stored(workflow, stored).blueprint
        except SchemaError:
            continue
        names |= {status.number: status.name for status in blueprint.statuses}
    return names


def _unreachable(definition: Definition[Any, Any], survey: _Survey) -> Iterable[Problem]:
    graph = definition.graph
    reachable = graph.reachable(graph.starts)
    for status in definition.statuses:
        if status.value in reachable:
            continue
        why = "no start leads to it" if status.value in graph.statuses else "nothing leads to it"
        yield Problem(
            code="unreachable",
            text=f"no run can come to {status.name}: {why}."
            " Declare what does, or start runs there, or remove it",
            run_count=survey.of(status.value).count,
        )


def _dead_ends(definition: Definition[Any, Any], survey: _Survey) -> Iterable[Problem]:
    for status in definition.graph.endless:
        yield Problem(
            code="dead_end",
            text=f"no end can be reached from {definition.status_type(status).name}:"
            " a run there goes round until somebody cancels it",
            run_count=survey.of(status).open_count,
        )
    ends = definition.ends
    for handler in definition.handlers:
        if handler.status in ends:
            yield Problem(
                code="dead_end",
                text=f"{handler.name}() will never be called: it leads nowhere, so a run that"
                f" comes to {handler.status.name} is completed. Declare where it goes",
                run_count=survey.of(handler.status.value).count,
            )


def _lost(definition: Definition[Any, Any], survey: _Survey, status: int, former: str) -> Problem:
    stored = survey.of(status)
    name = f" (once called {former})" if former else ""
    return Problem(
        code="lost_status",
        text=f"{survey.number(stored.count)} runs are in status {status}{name}, which"
        f" {definition.status_type.__name__} does not have; {survey.number(stored.open_count)}"
        " of them are open, and no function will move them."
        " Keep the status until they are gone, or cancel them",
        run_count=stored.count,
    )


async def _unreadable(
    definition: Definition[Any, Any], survey: _Survey, names: dict[int, str], store: RecordStore
) -> list[Problem]:
    refs = list(chain.from_iterable(stored.runs for stored in survey.statuses.values()))
    errors: dict[int, list[tuple[str, CodecError]]] = {}
    looked_at: dict[int, int] = {}
    for first in range(0, len(refs), _READ_AT_ONCE):
        for record in await store.lookup_many(refs[first : first + _READ_AT_ONCE]):
            if record is not None:
                looked_at[record.status] = looked_at.get(record.status, 0) + 1
                error = _error_of(definition, record)
                if error is not None:
                    errors.setdefault(record.status, []).append((record.run_id, error))
    return [
        Problem(
            code="unreadable_object",
            text=f"{len(found)} of the {looked_at[status]} runs that were read in"
            f" {names.get(status, status)} have no readable"
            f" {definition.object_type.__name__}, run {found[0][0]} for one:"
            f" {cut_text(found[0][1], 300)}. Give what is new a default",
            run_count=len(found),
        )
        for status, found in sorted(errors.items())
    ]


def _error_of(definition: Definition[Any, Any], record: Record) -> CodecError | None:
    """Return why a stored object is not of the declared type; None if it is, or was deleted."""
    if record.object == DELETED_DATA:
        return None
    try:
        definition.codec.decode(record.object, definition.object_type)
    except CodecError as error:
        return error
    return None
