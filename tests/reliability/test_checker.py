"""Every invariant rejects a history that breaks it, and accepts one that just does not."""

from dataclasses import replace

import pytest

from reliability.checker import TABLE, check
from reliability.checker.index import Index
from reliability.flow import HOOKS, TIMEOUTS, edges
from reliability.history import Call, Commit, Grant, History, HookCall, Operation, SourceCall, TimerAsked

SECOND = 1_000_000
HOOKED = {name: frozenset(map(int, states)) for name, states in HOOKS.items()}


def commit(version, status=1, run_state=None, **fields):
    """A version of the run r1 of "a", stored at as many seconds."""
    state = run_state or (1 if version == 1 else 2)
    run_id = fields.pop("run_id", "r1")
    at = fields.pop("at", float(version))
    shown = {"write_id": f"{run_id}/{version}", "origin": "op-1", "cause": "step"} | fields
    shown.setdefault("due_at", int(at * SECOND))
    shown.setdefault("updated_at", int(at * SECOND))
    foreign_id = shown.pop("foreign_id", "a")
    return Commit(at, "orders", run_id, foreign_id, version, status, state, **shown)


def operation(number, kind, **fields):
    """A call of a client about "a" that went well, from second 0 to 9."""
    shown = {"at": 0.0, "ended_at": 9.0, "outcome": "ok", "run_id": "r1"} | fields
    foreign_id = shown.pop("foreign_id", "a")
    return Operation(number, "client#1", kind, "orders", foreign_id, shown.pop("at"), **shown)


def call(kind, name, version, token, **fields):
    """A call of a function for r1."""
    shown = {"seen": (), "key": token, "at": version + 0.5, "outcome": "DONE", "attempt": 1} | fields
    at = shown["at"]
    shown = {"worker_at": int(at * SECOND), "store_at": int(at * SECOND), "status": 1} | shown
    node = shown.pop("node", "worker-0#1")
    made = Call(
        kind, name, node, "r1", version, shown.pop("attempt"), shown.pop("seen"), token,
        shown.pop("key"), shown.pop("at"),
    )  # fmt: skip
    return replace(made, **shown)


def history(*commits, operations=(), **parts):
    """A history whose run was started by op-1."""
    timeouts = {int(stage): timers for stage, timers in TIMEOUTS.items()}
    return History(
        commits=list(commits),
        operations=[operation("op-1", "trigger"), *operations],
        graph=edges(),
        ends=frozenset({6, 7}),
        hooked={},
        timeouts=timeouts,
        **parts,
    )


STEP = call("step", "DRAFT", 1, "step:1")
WAITS = (commit(1), commit(2, 3, due_at=2 * SECOND))
EXPIRE = {"version": 2, "token": "t", "status": 3}
CANCELLED = (commit(1), commit(2, 1, 5))
APPROVE = "callback:approve:2:7:op-2"


def expire(at, **fields):
    """The call of a timer of 8 seconds, of a run that came in at second 2."""
    return call("timeout", "expire", 2, "t", status=3, at=at, **fields)


HELD = (*WAITS, commit(3, 3, 3, at=9.0), commit(4, 3, 2, at=12.0), commit(5, 3, 5, at=28.0))


def letter(number="op-2", effect="applied", **fields):
    """A callback's operation."""
    return operation(number, "callback", detail=f"approve {effect}", **fields)


def approved(version=3, token=APPROVE, **fields):
    """A run that a callback moved on."""
    return commit(version, 6, 4, tokens=(token,), cause="callback", **fields)


CASES = {
    "I1": (
        history(commit(1), commit(3)),
        history(commit(1), commit(2), commit(2, attempt=1, write_id="x")),
    ),
    "I2": (history(commit(1, 6)), history(commit(1, 4))),
    "I3": (history(commit(1, 1), commit(2, 5)), history(commit(1, 1), commit(2, 3), commit(3, 3))),
    "I4": (
        history(commit(1), commit(2, 1, 3), commit(3, 6, 4)),
        history(commit(1), commit(2, 1, 3), commit(3, 1, 2)),
    ),
    "I5": (
        history(*CANCELLED, commit(3, 1, 2)),
        history(*CANCELLED, commit(3, 1, 7), commit(4, 1, 6, is_deleted=True)),
    ),
    "I6": (
        history(commit(1), commit(2, write_id="r1/1")),
        history(commit(1), commit(2, write_id="r1/2")),
    ),
    "I7": (
        history(commit(1), operations=[operation("op-2", "pause", version=2)]),
        history(*CANCELLED[:1], commit(2, 1, 3, actor="op-2"), operations=[operation("op-2", "pause", version=2)]),
    ),
    "I8": (
        history(commit(1), commit(2, 1, 3, actor="op-2"), operations=[operation("op-2", "pause", outcome="fail")]),
        history(commit(1), commit(2, 1, 3, actor="op-2"), operations=[operation("op-2", "pause", outcome="info")]),
    ),
    "I9": (
        history(commit(1), commit(2, tokens=("step:1",)), commit(3, tokens=("other",)), calls=[STEP]),
        history(commit(1), commit(2, tokens=("step:1",)), commit(3, tokens=("step:1",)), calls=[STEP]),
    ),
    "I10": (history(commit(1), commit(2, created_at=5)), history(commit(1), commit(2, updated_at=5))),
    "I11": (history(commit(1), commit(2, 6, 2)), history(commit(1), commit(2, 6, 4))),
    "I12": (
        history(commit(1), commit(1, run_id="r2")),
        history(*CANCELLED, commit(1, run_id="r2", at=3.0)),
    ),
    "I13": (
        history(*CANCELLED, operations=[operation("op-2", "trigger", at=3.0, outcome="fail", error="RunInProgressError", detail="r1")]),
        history(*CANCELLED, operations=[operation("op-2", "trigger", at=1.5, outcome="fail", error="RunInProgressError", detail="r1")]),
    ),
    "I14": (
        history(commit(1), operations=[operation("op-2", "trigger", key="k"), operation("op-3", "trigger", key="k", run_id="r2")]),
        history(commit(1), operations=[operation("op-2", "trigger", key="k"), operation("op-3", "trigger", key="l", run_id="r2")]),
    ),
    "I15": (
        history(commit(1, foreign_id="A")),
        history(commit(1), commit(1, run_id="r2", foreign_id="A", origin="op-2"), operations=[operation("op-2", "trigger", foreign_id="A", run_id="r2")]),
    ),
    "I18": (history(commit(1), received=[(0.5, "r1", 1)]), history(commit(1), received=[(1.5, "r1", 1)])),
    "I21": (
        history(commit(1), commit(2), received=[(2.1, "r1", 2), (2.2, "r1", 1)]),
        history(commit(1), commit(2), received=[(1.1, "r1", 1), (2.1, "r1", 2), (2.2, "r1", 1)]),
    ),
    "I22": (history(commit(1), calls=[call("step", "DRAFT", 1, "t", at=0.5)]), history(commit(1), calls=[STEP])),
    "I23": (
        history(commit(1), calls=[STEP, STEP]),
        history(commit(1), calls=[replace(STEP, outcome="interrupted"), STEP]),
    ),
    "I24": (
        replace(history(commit(1)), hooked=HOOKED),
        replace(history(commit(1), hooks=[HookCall(1.5, "tell_all", "r1", 1, 1, 1, is_ok=True)]), hooked=HOOKED),
    ),
    "I25": (
        history(commit(1), hooks=[HookCall(1.5, "tell_all", "r1", 1, 2, 1, is_ok=True)]),
        history(commit(1), hooks=[HookCall(1.5, "tell_all", "r1", 1, 1, 4, is_ok=True)]),
    ),
    "I26": (history(*WAITS, calls=[expire(9.999999)]), history(*WAITS, calls=[expire(10.0)])),
    "I27": (
        history(*WAITS, commit(3, 3, 5, at=15.5)),
        history(*WAITS, commit(3, 3, 5, at=14.5), calls=[call("timeout", "remind", 2, "r", status=3)]),
    ),
    "I28": (
        history(commit(1, 5), calls=[call("timeout", "due", 1, "t", status=5)]),
        history(commit(1, 5), calls=[call("timeout", "due", 1, "t", status=5)], timers=[TimerAsked("r1", 1, "due", SECOND)]),
    ),
    "I29": (
        history(*WAITS, calls=[expire(10.0, outcome="Skip"), expire(11.0)]),
        history(*WAITS, calls=[expire(10.0, outcome="raised"), expire(11.0)]),
    ),
    "I32": (
        history(*WAITS, operations=[letter(outcome="fail", error="NotWaitingError", at=3.0)]),
        history(*WAITS, operations=[letter(outcome="fail", error="NotWaitingError", at=1.5)]),
    ),
    "I33": (
        history(source_events=[("e", "a")], source_calls=[SourceCall(1.0, "e", "a", is_ok=False)]),
        history(source_events=[("e", "a")], source_calls=[SourceCall(1.0, "e", "a", is_ok=False), SourceCall(2.0, "e", "a", is_ok=True)]),
    ),
    "I34": (
        history(source_acks=[(1.0, "e")], source_calls=[SourceCall(2.0, "e", "a", is_ok=True)]),
        history(source_acks=[(2.0, "e")], source_calls=[SourceCall(1.0, "e", "a", is_ok=True)]),
    ),
    "I35": (history(canaries=["a r1"]), history()),
    "I36": (
        history(grants=[Grant(1.0, "r", "n", 2), Grant(2.0, "r", "m", 2)]),
        history(grants=[Grant(1.0, "r", "n", 2), Grant(2.0, "q", "m", 2)]),
    ),
    "I38": (
        history(operations=[operation("op-2", "pause", seen=1, version=3)]),
        history(operations=[operation("op-2", "pause", seen=2, version=3)]),
    ),
    "I39": (history(is_quiescent=False, left=["a run"]), history(is_quiescent=True, left=[])),
    "I40": (history(errors=["a task ended by an error"]), history()),
    "I42": (
        history(operations=[operation("op-2", "trigger", ended_at=45.1)]),
        history(operations=[operation("op-2", "trigger", ended_at=44.9)]),
    ),
    "idempotency key": (
        history(*WAITS, calls=[replace(STEP, key="k"), expire(10.0, key="k")]),
        history(*WAITS, calls=[replace(STEP, key="k"), replace(STEP, key="k"), expire(10.0, key="l")]),
    ),
}  # fmt: skip
MORE = {
    "I7": (
        history(commit(1, at=9.5)),
        history(commit(1, at=8.5)),
    ),
    "I8": (
        history(*WAITS, approved(), operations=[letter(outcome="fail", error="VersionConflictError")]),
        history(*WAITS, approved(token="callback:approve:2:7:op-3"), operations=[letter(outcome="fail", error="VersionConflictError")]),
    ),
    "I9": (
        history(commit(1), commit(2, tokens=("step:1",)), calls=[replace(STEP, outcome="raised")]),
        history(commit(1), commit(2, tokens=("step:1",)), calls=[replace(STEP, outcome="Repeat")]),
    ),
    "I23": (
        history(commit(1), commit(1, attempt=1, write_id="x"), calls=[STEP]),
        history(commit(1), commit(1, attempt=1, write_id="x"), calls=[replace(STEP, outcome="raised")]),
    ),
    "I26": (
        history(commit(1, origin="op-1"), calls=[STEP], delays={"op-1": 1_500_001}),
        history(commit(1, origin="op-1"), calls=[STEP], delays={"op-1": 1_500_000}),
    ),
    "I27": (
        history(*HELD, calls=[call("timeout", "remind", 2, "r", status=3)]),
        history(*HELD, calls=[call("timeout", n, 2, n, status=3, at=12.5) for n in ("expire", "remind")]),
    ),
    "I28": (
        history(*WAITS, commit(3, 3, entered_version=3)),
        history(*[c._replace(entered_version=v) for c, v in zip((*WAITS, commit(3, 3)), (1, 2, 2), strict=True)]),
    ),
    "I32": (
        history(*WAITS, operations=[letter(effect="skipped")]),
        history(*WAITS, operations=[letter(effect="skipped")], calls=[call("callback", "approve", 2, APPROVE, outcome="Skip")]),
    ),
    "I38": (
        history(*(commit(v, actor="op-2") for v in (1, 2)), operations=[operation("op-2", "retry")]),
        history(*(commit(v, actor=f"op-{v}") for v in (1, 2)), operations=[operation("op-2", "retry")]),
    ),
    "I42": (
        history(operations=[operation("op-2", "await", ended_at=-1.0)]),
        history(operations=[replace(operation("op-2", "await", ended_at=-1.0), node="worker-0#1")]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "cases"), [*CASES.items(), *MORE.items()])
def test_an_invariant_rejects_a_bad_history_and_accepts_a_near_miss(name, cases):
    bad, good = cases

    assert list(TABLE[name](Index(bad)))
    assert list(TABLE[name](Index(good))) == []


def test_every_invariant_has_its_bad_history():
    assert set(CASES) == set(TABLE)


def test_a_keyed_callback_that_is_applied_twice_is_found():
    twice = [letter(key="k"), letter("op-3", key="k")]
    tokens = (APPROVE, "callback:approve:3:8:op-3")
    calls = [call("callback", "approve", v, t) for v, t in zip((2, 3), tokens, strict=True)]
    commits = [*WAITS, commit(3, 3, tokens=tokens[:1]), commit(4, 6, 4, tokens=tokens)]

    found = list(TABLE["I32"](Index(history(*commits, operations=twice, calls=calls))))

    assert len(found) == 1
    assert "was applied as" in found[0]


def test_an_empty_history_breaks_nothing():
    assert check(History()) == []
