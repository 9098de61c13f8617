"""Invariants across runs, and between what clients were told and what the store did."""

from __future__ import annotations

from collections.abc import Iterator

from reliability.checker.index import Index, name
from reliability.history import Commit, Operation

_ACTIONS = ("pause", "resume", "retry", "cancel", "delete_data")
_BIRTHS = ("trigger", "feed")
_OPEN = (1, 2, 3)
_TOLERANCE = 1e-5
_CALLBACK_STATUS = {"approve": 3, "remark": 3, "nudge": 4}


def _within(commit: Commit, made: Operation) -> bool:
    return made.at - _TOLERANCE <= commit.at <= made.ended_at + _TOLERANCE


def _commit_of(index: Index, made: Operation) -> Commit | None:
    return index.by_version.get((made.run_id, made.version))


def _callback_of(made: Operation) -> tuple[str, str]:
    callback, _, effect = made.detail.partition(" ")
    return callback, effect


def i7_ok_means_committed(index: Index) -> Iterator[str]:
    """What was answered with success is stored, and was stored during the call."""
    for made in index.history.operations:
        if made.outcome != "ok":
            continue
        if made.kind in _BIRTHS and made.run_id:
            first = index.by_version.get((made.run_id, 1))
            if first is None:
                yield f"{made.number}: {made.kind} of {made.foreign_id!r} made no run"
            elif first.origin != made.number and not made.key:
                yield f"{made.number}: {made.kind} without a key answered another's run"
            elif first.origin == made.number and not _within(first, made):
                yield f"{made.number}: {made.kind} was stored outside of the call"
        if made.kind in _ACTIONS:
            commit = _commit_of(index, made)
            if commit is None or commit.actor != made.number or not _within(commit, made):
                yield f"{made.number}: {made.kind} is not stored as version {made.version}"
        if made.kind == "callback" and _callback_of(made)[1] == "applied":
            commit = _commit_of(index, made)
            last = commit.tokens[-1:] if commit is not None else ()
            if not last or index.made_by(last[0]) is not made:
                yield f"{made.number}: the callback is not stored as version {made.version}"


def i8_fail_means_not_committed(index: Index) -> Iterator[str]:
    """What was answered with a definite failure is not stored, and never will be."""
    births = {commits[0].origin: commits[0] for commits in index.runs.values()}
    actors = {commit.actor: commit for commit in index.history.commits if commit.actor}
    applied = {
        token.rpartition(":")[2]
        for commit in index.history.commits
        for token in commit.tokens[-1:]
        if token.startswith("callback:")
    }
    for made in index.history.operations:
        if made.outcome == "fail":
            is_stored = made.number in births or made.number in actors or made.number in applied
        else:
            is_stored = _callback_of(made)[1] == "raised" and made.number in applied
        if is_stored:
            yield f"{made.number}: {made.kind} raised {made.error}, and is stored"


def i12_one_open_run(index: Index) -> Iterator[str]:
    """At no moment are two runs of one foreign id open."""
    open_runs: dict[tuple[str, str], str] = {}
    for commit in index.history.commits:
        owner = (commit.workflow, commit.foreign_id)
        other = open_runs.get(owner)
        if commit.run_state in _OPEN:
            if other not in (None, commit.run_id):
                yield f"{name(commit)} is open beside {other}"
            open_runs[owner] = commit.run_id
        elif other == commit.run_id:
            del open_runs[owner]


def i13_in_progress_was_true(index: Index) -> Iterator[str]:
    """`RunInProgressError` names a run that was open during the call."""
    for made in index.history.operations:
        if made.error != "RunInProgressError":
            continue
        commits = index.runs.get(made.detail, [])
        ended = next((c.at for c in commits if c.run_state not in _OPEN), None)
        is_other = not commits or commits[0].foreign_id != made.foreign_id
        if is_other or commits[0].at > made.ended_at or (ended is not None and ended < made.at):
            yield f"{made.number}: no open run of {made.foreign_id!r} while it was refused"


def i14_one_run_a_key(index: Index) -> Iterator[str]:
    """All calls with one key make one run, and are told of that one."""
    runs: dict[tuple[str, str, str], set[str]] = {}
    for made in index.history.operations:
        if made.kind in _BIRTHS and made.key:
            key = (made.workflow, made.foreign_id, f"{made.kind}/{made.key}")
            found = runs.setdefault(key, set())
            if made.outcome == "ok" and made.run_id:
                found.add(made.run_id)
            found |= {run_id for run_id, c in index.runs.items() if c[0].origin == made.number}
    for key, found in runs.items():
        if len(found) > 1:
            yield f"{key} made {sorted(found)}"


def i15_no_cross_talk(index: Index) -> Iterator[str]:
    """What was meant for one run or foreign id touched no other."""
    for commits in index.runs.values():
        made = index.operations.get(commits[0].origin)
        if made is None or made.kind not in _BIRTHS:
            yield f"{name(commits[0])} was made by nobody"
        elif (made.workflow, made.foreign_id) != (commits[0].workflow, commits[0].foreign_id):
            yield f"{name(commits[0])} was made for {made.foreign_id!r} of {made.workflow}"
    for made in index.history.operations:
        told = index.by_version.get((made.run_id, 1)) if made.kind in _BIRTHS else None
        if told is not None and told.foreign_id != made.foreign_id:
            yield f"{made.number}: {made.foreign_id!r} was told of the run of {told.foreign_id!r}"
    for commit in index.history.commits:
        action = index.operations.get(commit.actor)
        if action is not None and action.run_id != commit.run_id:
            yield f"{name(commit)} was moved by an action on {action.run_id}"
        for token in commit.tokens[-1:]:
            sent = index.made_by(token) if token.startswith("callback:") else None
            if sent is not None and sent.foreign_id != commit.foreign_id:
                yield f"{name(commit)} holds a letter to {sent.foreign_id!r}"


def i32_callback_once_never_silent(index: Index) -> Iterator[str]:
    """A keyed callback is applied once; a refusal is true; every call has an answer."""
    applied: dict[tuple[str, ...], set[tuple[str, int]]] = {}
    for commit in index.history.commits:
        for token in commit.tokens[-1:]:
            made = index.made_by(token) if token.startswith("callback:") else None
            call = index.calls.get(token)
            if made is None or call is None or commit.is_skip or commit.attempt:
                continue
            if commit.version == call.version + 1:
                key = made.key or made.number
                owner = (made.workflow, made.foreign_id, call.name, key)
                applied.setdefault(owner, set()).add((commit.run_id, commit.version))
    for told_to, places in applied.items():
        if len(places) > 1:
            yield f"{told_to} was applied as {sorted(places)}"
    for made in index.history.operations:
        if made.kind != "callback":
            continue
        callback, effect = _callback_of(made)
        places = applied.get((made.workflow, made.foreign_id, callback, made.key), set())
        told = [c.outcome for c in index.history.calls if c.token.endswith(f":{made.number}")]
        if effect == "skipped" and "Skip" not in told:
            yield f"{made.number}: skipped, and no function said so"
        if effect == "repeated" and (made.run_id, made.version) not in places:
            yield f"{made.number}: repeats an answer that nobody gave"
        if made.error == "NotWaitingError" and _waits_throughout(index, made, callback):
            yield f"{made.number}: {made.foreign_id!r} waited for {callback} all the time"
    yield from _vanished(index, applied)


def _waits_throughout(index: Index, made: Operation, callback: str) -> bool:
    status = _CALLBACK_STATUS[callback]
    is_waiting = False
    for commit in index.history.commits:
        if (commit.workflow, commit.foreign_id) != (made.workflow, made.foreign_id):
            continue
        waits = commit.status == status and commit.run_state in (1, 2)
        if commit.at < made.at - _TOLERANCE:
            is_waiting = waits
        elif commit.at <= made.ended_at + _TOLERANCE and not waits:
            return False
    return is_waiting


def _vanished(index: Index, applied: dict[tuple[str, ...], set[tuple[str, int]]]) -> Iterator[str]:
    """A buffered letter ends applied, or as a dead letter."""
    letters, asked = set(), set()
    called = {call.token.rpartition(":")[2] for call in index.history.calls}
    for made in index.history.operations:
        callback, effect = _callback_of(made)
        if made.kind == "callback":
            # Two letters of one key are one letter, whichever of them is read.
            owner = (made.workflow, made.foreign_id, callback, made.key or made.number)
            if made.number in called:
                asked.add(owner)
            if effect == "buffered" and not applied.get(owner) and owner[:2] not in index.erased:
                letters.add(owner)
    letters -= asked
    given_up = [place for place in index.history.parked if "/inbox" in place[0]]
    if index.history.is_quiescent and len(letters) > len(given_up):
        yield f"{len(letters)} buffered letters vanished, {len(given_up)} were parked"


def i38_an_action_is_a_compare_and_swap(index: Index) -> Iterator[str]:
    """Who acts on a run as it was seen changes that version, or nothing; and nothing twice."""
    done: dict[str, Commit] = {}
    for commit in index.history.commits:
        if commit.actor in index.operations:
            if commit.actor in done:
                yield f"{name(commit)}: {commit.actor} had been done as {name(done[commit.actor])}"
            done[commit.actor] = commit
    for made in index.history.operations:
        if made.kind in _ACTIONS and made.seen is not None and made.outcome == "ok":
            if made.version != made.seen + 1:
                yield f"{made.number}: {made.kind} on version {made.seen} made {made.version}"
