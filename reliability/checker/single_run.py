"""Invariants of one run: its versions, its states, its object."""

from __future__ import annotations

from collections.abc import Iterator

from reliability.checker.index import Index, name

# Written down here once more on purpose: the checker believes nothing of what it checks. A version
# that changes nothing about the run's state (a retry made now, a scrub) is no change.
CHANGES = {
    1: {1, 2, 3, 4, 5},
    2: {2, 3, 4, 5},
    3: {2, 5},
    4: {7},
    5: {7},
    7: {7, 6},
    6: {7},
}
INITIATED, COMPLETED, CANCELLED, DELETED, REQUESTED = 1, 4, 5, 6, 7


def i1_versions_rise_by_one(index: Index) -> Iterator[str]:
    """Each version once, none left out."""
    for commits in index.runs.values():
        versions = [commit.version for commit in commits]
        if versions != list(range(1, len(versions) + 1)):
            yield f"{name(commits[0])}: versions {versions}"
    for commits in index.all_of.values():
        highest = 0
        for commit in commits:
            if commit.version < highest:
                yield f"{name(commit)} came after version {highest}"
            highest = max(highest, commit.version)


def i2_birth(index: Index) -> Iterator[str]:
    """A run begins at version 1, Initiated, where something leads on."""
    for commits in index.runs.values():
        first = commits[0]
        if (first.version, first.run_state) != (1, INITIATED) or first.status in index.history.ends:
            yield f"{name(first)} begins in status {first.status}, state {first.run_state}"


def i3_edges_only(index: Index) -> Iterator[str]:
    """A run moves along the graph."""
    for before, after in index.pairs():
        moved = (before.status, after.status)
        if before.status != after.status and moved not in index.history.graph:
            yield f"{name(after)} went from {before.status} to {after.status}"


def i4_run_state_edges_only(index: Index) -> Iterator[str]:
    """A run's life goes along its own graph."""
    for before, after in index.pairs():
        if after.run_state not in CHANGES.get(before.run_state, ()):
            yield f"{name(after)}: state {before.run_state} became {after.run_state}"


def i5_nothing_after_the_end(index: Index) -> Iterator[str]:
    """After its end a run only has its data deleted."""
    for before, after in index.pairs():
        if before.run_state < COMPLETED:
            continue
        if after.run_state not in (DELETED, REQUESTED) or after.status != before.status:
            yield f"{name(after)} was written after the end, in state {before.run_state}"
        if not after.is_deleted and after.tokens != before.tokens:
            yield f"{name(after)} has another object after the end"
    for commits in index.all_of.values():
        ended = 0
        for commit in commits:
            if ended and commit.attempt:
                yield f"{name(commit)}: an attempt was counted after the end"
            ended = ended or commit.run_state >= COMPLETED


def i6_one_writer_a_version(index: Index) -> Iterator[str]:
    """A write happens once."""
    seen: dict[str, str] = {}
    for commit in index.history.commits:
        if commit.write_id in seen:
            yield f"{name(commit)} was written by the write of {seen[commit.write_id]}"
        seen[commit.write_id] = name(commit)


def i9_no_lost_or_doubled_update(index: Index) -> Iterator[str]:
    """Each version's object is the one before and at most one mark more, made from it."""
    for before, after in index.pairs():
        if after.is_deleted:
            continue
        if after.tokens[: len(before.tokens)] != before.tokens:
            yield f"{name(after)} lost what version {before.version} had"
            continue
        added = after.tokens[len(before.tokens) :]
        if len(added) > 1:
            yield f"{name(after)} has {len(added)} marks more"
        for token in added:
            call = index.calls.get(token)
            if call is None or (call.run_id, call.version) != (after.run_id, before.version):
                yield f"{name(after)} holds the mark {token} of another version"
            elif call.outcome in ("raised", "Skip"):
                yield f"{name(after)} holds the mark of a call that {call.outcome}"
    for commits in index.all_of.values():
        for before, after in zip(commits, commits[1:], strict=False):
            changes_nothing = after.attempt or after.is_skip
            if changes_nothing and after.tokens != before.tokens:
                yield f"{name(after)}: a failed attempt or a Skip changed the object"


def i10_immutable_facts(index: Index) -> Iterator[str]:
    """A run keeps its names and its birthday."""
    for commits in index.all_of.values():
        facts = {(c.workflow, c.foreign_id, c.created_at) for c in commits}
        if len(facts) > 1:
            yield f"{name(commits[0])} was {sorted(facts)}"


def i11_terminal_means_completed(index: Index) -> Iterator[str]:
    """Completed are those that came where nothing leads on, and no others."""
    for commits in index.runs.values():
        for commit in commits:
            is_terminal = commit.status in index.history.ends
            if is_terminal != (commit.run_state in (COMPLETED, *(DELETED, REQUESTED))) and not (
                not is_terminal and commit.run_state in (DELETED, REQUESTED)
            ):
                yield f"{name(commit)} is in status {commit.status}, state {commit.run_state}"
