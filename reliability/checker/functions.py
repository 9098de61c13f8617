"""Invariants of the user's functions: when they are called, with what, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from reliability.checker.index import Index, name
from reliability.history import Call, Commit

_TOLERANCE = 1e-5


def _label(call: Call) -> str:
    return f"{call.kind} {call.name} of {call.run_id[-6:]} v{call.version} at {call.at:.3f}"


def i18_no_invented_event(index: Index) -> Iterator[str]:
    """Each delivered event tells of a version that was stored before."""
    for at, run_id, version in index.history.received:
        commit = index.by_version.get((run_id, version))
        if commit is None or commit.at > at + _TOLERANCE:
            yield f"an event tells of {run_id} v{version}, which is not stored"


def i21_first_deliveries_in_order(index: Index) -> Iterator[str]:
    """Without faults a run's events of one topic come in the order of its versions."""
    if index.history.has_faults:
        return
    highest: dict[tuple[str, int], int] = {}
    seen = set()
    for _, run_id, version in index.history.received:
        commit = index.by_version.get((run_id, version))
        if commit is None or (run_id, version) in seen:
            continue
        seen.add((run_id, version))
        topic = (run_id, commit.status)
        is_delayed = commit.due_at > commit.updated_at
        if version < highest.get(topic, 0) and not is_delayed:
            yield f"an event of {run_id} v{version} came after v{highest[topic]}"
        highest[topic] = max(version, highest.get(topic, 0))


def i22_a_function_sees_its_version(index: Index) -> Iterator[str]:
    """A call for a version comes after it, and is given its object."""
    for call in index.history.calls:
        commit = index.by_version.get((call.run_id, call.version))
        if commit is None or commit.at > call.at + _TOLERANCE:
            yield f"{_label(call)} is about a version that is not stored"
        elif call.seen != commit.tokens or call.status != commit.status:
            yield f"{_label(call)} was given another object or status"
        elif commit.run_state not in (1, 2):
            yield f"{_label(call)} was called for a run in state {commit.run_state}"
    if not index.history.has_faults:
        yield from _called_after_the_end(index)


def _called_after_the_end(index: Index) -> Iterator[str]:
    """Without faults no call begins more than a moment after its run was stopped."""
    for call in index.history.calls:
        following = index.by_version.get((call.run_id, call.version + 1))
        if following is not None and call.at > following.at + 1.5:
            yield f"{_label(call)} began {call.at - following.at:.1f} s after the run had moved on"


def i23_bounded_repeats(index: Index) -> Iterator[str]:
    """A step is called once for a version and attempt; more often only after faults.

    Without faults a role moves only when an instance joins: then what is in hand is repeated there.
    """
    steps: Counter[tuple[object, ...]] = Counter()
    for call in index.history.calls:
        if call.kind == "step" and call.outcome != "interrupted":
            node = "" if index.history.has_faults else call.node
            steps[(call.run_id, call.version, call.attempt, node)] += 1
    limit = index.history.repeat_limit if index.history.has_faults else 1
    for (run_id, version, attempt, _), count in steps.items():
        if count > limit:
            yield f"the step of {run_id} v{version}, attempt {attempt}, ran {count} times"
    for commits in index.all_of.values():
        for before, after in zip(commits, commits[1:], strict=False):
            if after.attempt and after.version == before.version and not after.is_skip:
                if after.attempt != before.attempt + 1:
                    yield f"{name(after)}: attempt {before.attempt} became {after.attempt}"
                elif not _has_failed(index, after):
                    yield f"{name(after)}: attempt {after.attempt} is counted, and did not fail"


def _has_failed(index: Index, counted: Commit) -> bool:
    """Return whether a call of this attempt raised, ran too long, or could not be stored."""
    refusals = index.history.refusals
    # A Skip keeps the version, every other answer raises it.
    if max(refusals.get((counted.run_id, counted.version + more), 0) for more in (0, 1)) >= 2:
        return True
    return any(
        call.kind == "step"
        and (call.run_id, call.version, call.attempt)
        == (counted.run_id, counted.version, counted.attempt)
        and (
            call.outcome in ("raised", "DRAFT") or call.name == "PAID" or counted.at - call.at > 3.9
        )
        for call in index.history.calls
    )


def i24_hook_at_least_once(index: Index) -> Iterator[str]:
    """Every change of a run's state is told to each hook that listens to it."""
    if not index.history.is_quiescent:
        return
    told = {(call.hook, call.run_id, call.version) for call in index.history.hooks if call.is_ok}
    for commits in index.runs.values():
        before = 0
        for commit in commits:
            for hook, states in index.history.hooked.items():
                is_change = commit.run_state != before and commit.run_state in states
                if is_change and (hook, commit.run_id, commit.version) not in told:
                    yield f"{hook} was never told of {name(commit)}"
            before = commit.run_state


def i25_hook_neither_early_nor_wrong(index: Index) -> Iterator[str]:
    """A hook is told after the commit, of what it stored; first calls in the order of versions."""
    first: dict[tuple[str, str], int] = {}
    seen = set()
    for call in index.history.hooks:
        commit = index.by_version.get((call.run_id, call.version))
        if commit is None or commit.at > call.at + _TOLERANCE:
            yield f"{call.hook} was told of {call.run_id} v{call.version} before it was stored"
        elif commit.run_state != call.run_state:
            yield f"{call.hook} was told state {call.run_state} of {name(commit)}"
        elif call.record_version < call.version:
            yield f"{call.hook} was given version {call.record_version} for {name(commit)}"
        place = (call.hook, call.run_id)
        is_first = (*place, call.version) not in seen
        seen.add((*place, call.version))
        if is_first and not index.history.has_faults and call.version < first.get(place, 0):
            yield f"{call.hook} was told of v{call.version} after v{first[place]}"
        first[place] = max(call.version, first.get(place, 0))


def _timer(index: Index, call: Call, entry: Commit) -> int | None:
    """Return when a timer was to fire; None if nobody asked for it."""
    after = index.history.timeouts.get(call.status, {}).get(call.name, False)
    if after is False:
        return None
    if isinstance(after, timedelta):
        return entry.due_at + after // timedelta(microseconds=1)
    asked = [
        timer.due_at
        for timer in index.history.timers
        if (timer.run_id, timer.entered_version, timer.name)
        == (call.run_id, entry.version, call.name)
        and timer.due_at is not None
    ]
    return min(asked) if asked else None


def i26_timer_never_early(index: Index) -> Iterator[str]:
    """A timeout function is called only when both clocks have reached its time."""
    for call in index.history.calls:
        entry = index.entry_of(call.run_id, call.version) if call.kind == "timeout" else None
        due_at = _timer(index, call, entry) if entry is not None else None
        if due_at is not None and min(call.worker_at, call.store_at) < due_at:
            early = (due_at - min(call.worker_at, call.store_at)) / 1e6
            yield f"{_label(call)} was called {early:.6f} s early"
    yield from _begun_early(index)


def _begun_early(index: Index) -> Iterator[str]:
    """A step waits as long as its run, its trigger or its last attempt asked for."""
    until: dict[tuple[str, int], int] = {}
    for commits in index.runs.values():
        wait, status = index.history.delays.get(commits[0].origin, 0), commits[0].status
        for commit in commits:
            made = index.operations.get(commit.actor)
            if commit.status != status or (made is not None and made.kind == "retry"):
                wait, status = 0, commit.status
            if commit.tokens and commit.cause == "step" and commit.run_state == 2:
                wait = max(wait, index.history.delays.get(commit.tokens[-1], 0))
            until[(commit.run_id, commit.version)] = wait
    backed_off = {
        (commit.run_id, commit.version, commit.attempt + 1): commit.due_at
        for commit in index.history.commits
        if commit.attempt and not commit.is_skip
    }
    for call in index.history.calls:
        if call.kind == "step":
            wait = until.get((call.run_id, call.version), 0)
            wait = max(wait, backed_off.get((call.run_id, call.version, call.attempt), 0))
            # In a mixed pair it is the relay's worker that looks at its clock.
            clock = call.store_at if index.history.is_mixed else min(call.worker_at, call.store_at)
            if clock < wait:
                yield f"{_label(call)} began {(wait - clock) / 1e6:.6f} s early"


def i27_timer_never_lost(index: Index) -> Iterator[str]:
    """Without faults a run is not long where a timer of a known time should have moved it."""
    if index.history.has_faults:
        return
    called = {(call.run_id, call.name, call.version) for call in index.history.calls}
    for run_id, commits in index.runs.items():
        for before, after in zip(commits, commits[1:], strict=False):
            timers = index.history.timeouts.get(before.status, {})
            entered = index.entered[(run_id, before.version)]
            is_whole = entered == before.version and before.run_state in (1, 2)
            for timer, wait in timers.items():
                if not is_whole or not isinstance(wait, timedelta):
                    continue
                waited = after.at - before.at - max(0, before.due_at - before.updated_at) / 1e6
                late = waited - wait.total_seconds()
                if late > 5 and (run_id, timer, before.version) not in called:
                    yield f"{timer} of {name(before)} was not called in {late:.1f} s"
        yield from _forgotten_at_the_resume(index, commits)


def _forgotten_at_the_resume(index: Index, commits: list[Commit]) -> Iterator[str]:
    """A timer that came due while its run was paused is called soon after the resume."""
    for held, resumed, after in zip(commits, commits[1:], commits[2:], strict=False):
        entry = index.entry_of(resumed.run_id, resumed.version)
        is_resume = (held.run_state, resumed.run_state) == (3, 2)
        if not is_resume or entry is None or after.at - resumed.at < 15:
            continue
        for timer, wait in index.history.timeouts.get(resumed.status, {}).items():
            if not isinstance(wait, timedelta):
                continue
            due_at = entry.due_at + wait // timedelta(microseconds=1)
            calls = [
                call
                for call in index.history.calls
                if (call.run_id, call.name) == (resumed.run_id, timer)
                and entry.version <= call.version
            ]
            if held.updated_at < due_at < resumed.updated_at and not any(
                call.at < resumed.at + 15 for call in calls
            ):
                yield f"{timer} of {name(resumed)} was not called in 15 s after the resume"


def i28_timer_never_strays(index: Index) -> Iterator[str]:
    """A timer acts on the entry that it was made for."""
    for commits in index.runs.values():
        for commit in commits:
            entered = index.entered[(commit.run_id, commit.version)]
            if commit.entered_version != entered:
                yield f"{name(commit)} says that it came in at {commit.entered_version}"
    for call in index.history.calls:
        if call.kind != "timeout":
            continue
        entry = index.entry_of(call.run_id, call.version)
        if call.name not in index.history.timeouts.get(call.status, {}):
            yield f"{_label(call)} belongs to another status"
        elif entry is not None and _timer(index, call, entry) is None:
            yield f"{_label(call)}: nobody asked for this timer in this entry"


def i29_timer_once(index: Index) -> Iterator[str]:
    """A timer that was answered for good is not called again; its effect is there once."""
    answered: dict[tuple[str, int, str], Call] = {}
    for call in index.history.calls:
        entry = index.entry_of(call.run_id, call.version) if call.kind == "timeout" else None
        if entry is None:
            continue
        place = (call.run_id, entry.version, call.name)
        if place in answered and not index.history.has_faults:
            yield f"{_label(call)} was answered with {answered[place].outcome} before"
        if call.outcome == "Skip":
            answered[place] = call


def i33_connector_at_least_once(index: Index) -> Iterator[str]:
    """Every event of the source was handled."""
    if not index.history.is_quiescent:
        return
    handled = {call.event_id for call in index.history.source_calls if call.is_ok}
    erased = {foreign_id for _, foreign_id in index.erased}
    for event_id, foreign_id in index.history.source_events:
        if event_id not in handled and foreign_id not in erased:
            yield f"event {event_id} was never handled"


def i34_source_is_told_after(index: Index) -> Iterator[str]:
    """The source is told of an event after the function was called with it."""
    first: dict[str, float] = {}
    for call in index.history.source_calls:
        first.setdefault(call.event_id, call.at)
    for at, event_id in index.history.source_acks:
        if first.get(event_id, at + 1) > at + _TOLERANCE:
            yield f"event {event_id} was acknowledged at {at:.3f}, before any call"


def keys_name_the_piece_of_work(index: Index) -> Iterator[str]:
    """The idempotency key is one for all tries of one piece of work, and of no other."""
    named: dict[str, tuple[object, ...]] = {}
    keys: dict[tuple[object, ...], str] = {}
    for call in index.history.calls:
        commit = index.by_version.get((call.run_id, call.version))
        if commit is None:
            continue
        progress = index.progress[(call.run_id, call.version)]
        work: tuple[object, ...] = (call.run_id, progress, call.kind, call.name)
        if call.kind == "callback":
            made = index.made_by(call.token)
            work = (*work, made.key if made is not None else "")
        if named.setdefault(call.key, work) != work:
            yield f"{_label(call)} has the key of {named[call.key]}"
        if keys.setdefault(work, call.key) != call.key:
            yield f"{_label(call)} has another key than before"
