"""Invariants of the end: what is gone, what is finished, and how long calls took."""

from __future__ import annotations

from collections.abc import Iterator

from reliability.checker.index import Index

# A call of the store takes 3 s at most and a commit is given up after 30; control looks and writes
# again when it meets somebody; a callback's function has its own limit, five times.
LIMITS = {"trigger": 45.0, "await": 15.0, "callback": 240.0, "feed": 45.0}
_OTHERS = 120.0
_STATUS = {"DRAFT": 1, "PAID": 2, "WAITING": 3, "BUSY": 4, "TIMED": 5, "DONE": 6, "UNDONE": 7}


def i35_gone_means_gone(index: Index) -> Iterator[str]:
    """After a deletion the object is nowhere."""
    for canary in index.history.canaries:
        yield f"the object of {canary} is still stored"


def i36_epochs_grow(index: Index) -> Iterator[str]:
    """Every new holder of a role has a higher epoch."""
    epochs: dict[str, int] = {}
    for grant in index.history.grants:
        if grant.epoch <= epochs.get(grant.role, 0):
            yield f"{grant.role} was given to {grant.holder} with epoch {grant.epoch}"
        epochs[grant.role] = grant.epoch


def i39_everything_finishes(index: Index) -> Iterator[str]:
    """When the faults have ended, everything does."""
    if not index.history.is_quiescent:
        yield f"{len(index.history.left)} things are left: {'; '.join(index.history.left[:4])}"


def i40_no_error_within(index: Index) -> Iterator[str]:
    """The engine meets no error of its own."""
    yield from index.history.errors


def i42_time_limits_are_kept(index: Index) -> Iterator[str]:
    """Every call returns or raises in time."""
    for made in index.history.operations:
        if made.ended_at < 0:
            if made.node.startswith("client"):
                yield f"{made.number}: {made.kind} never returned"
            continue
        if made.error == "DeadlineError" and not index.history.has_faults:
            wanted = {_STATUS[word] for word in made.detail.split(",") if word}
            for commit in index.runs.get(made.run_id, ()):
                is_there = commit.status in wanted if wanted else commit.run_state > 3
                if is_there and commit.at < made.ended_at - 3:
                    yield f"{made.number}: waited although the run was there at {commit.at:.3f}"
                    break
        took = made.ended_at - made.at
        if took > LIMITS.get(made.kind, _OTHERS) and not made.was_held:
            if made.node.startswith("client"):
                yield f"{made.number}: {made.kind} took {took:.1f} s"
