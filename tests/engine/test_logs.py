"""What is logged of a rich scenario: the same fields on every line, and nothing personal."""

import logging
from datetime import timedelta

import pytest

from stepgraph import (
    Backoff,
    Builder,
    ConnectorEvent,
    InputError,
    UnavailableError,
)
from stepgraph.adapters.memory import MemoryConnector
from stepgraph.adapters.opentelemetry import OpenTelemetry
from stepgraph.adapters.prometheus import Prometheus
from stepgraph.errors import RefusedError
from stepgraph.ports.log import Log
from stepgraph.testing import Harness
from tests.engine.test_steps import until
from tests.flows import Order, Status

CANARY = "canary-7f3a"
FIELDS = ("workflow", "role", "instance", "run_id", "attempt", "error_type")
QUICK = Backoff(first=timedelta(milliseconds=1), cap=timedelta(milliseconds=1))


def failing(*parts):
    """Raise an error that says what nobody may read in a log."""
    raise ValueError(f"{CANARY} raised {parts}")


def rich(source_name):
    """A workflow in which every kind of function fails."""
    flow = Builder("orders", Order, Status)
    flow.add_step(Status.CREATED, failing, to=[Status.PAID], retry=QUICK, pause_after_error_count=2)
    flow.add_callback(Status.PAID, failing_callback, to=[Status.PACKED], buffer=timedelta(hours=1))
    flow.add_timeout(
        Status.PAID, failing_timeout, after=timedelta(hours=1), to=[Status.PACKED],
        retry=QUICK, pause_after_error_count=2,
    )  # fmt: skip
    flow.add_connector(source_name, failing_connector, retry=QUICK, max_attempts=2)
    flow.on(max_attempts=2, retry=QUICK)(failing_hook)
    return flow


async def failing_callback(run, payload):
    failing(run, payload)


async def failing_timeout(run):
    failing(run)


async def failing_connector(workflow, event):
    failing(event)


async def failing_hook(change):
    failing(change)


async def play(backend, monkeypatch):
    """Let everything go wrong once."""
    source, order = MemoryConnector(), Order(1, [f"{CANARY} object"])
    options = {"connectors": {"shop": source}, "observers": [Prometheus(), OpenTelemetry()]}
    async with Harness(rich("shop"), backend=backend, retry=QUICK, **options) as harness:
        workflow = harness.workflow
        await source.publish(
            ConnectorEvent(f"{CANARY}-event", f"{CANARY}-foreign", payload=f"{CANARY}".encode())
        )
        run = await harness.trigger(f"{CANARY}-foreign", order)
        waiting = await workflow.trigger(
            f"{CANARY}-other", order, status=Status.PAID, idempotency_key=f"{CANARY}-key"
        )
        with pytest.raises(ValueError, match=CANARY):
            await workflow.callback(f"{CANARY}-other", Status.PAID, f"{CANARY}".encode())
        await workflow.callback(
            f"{CANARY}-early", Status.PAID, f"{CANARY}".encode(), idempotency_key=f"{CANARY}-key"
        )
        await harness.advance(timedelta(hours=3))
        await workflow.runs.cancel(run.id, reason="gone", actor="anna")
        await workflow.runs.cancel(waiting, reason="gone", actor="anna")
        await harness.settle()
        await store_fails(harness, backend, order, monkeypatch)
        letters = [letter async for letter in workflow.dead_letters.find()]
        assert {letter.kind for letter in letters} >= {"hook", "connector", "callback"}


async def store_fails(harness, backend, order, monkeypatch):
    """Let the store be away, refuse with the row's own words, and break."""
    commit = backend.record_store.commit
    errors = [UnavailableError("the network is away\nFORGED line")]
    errors += [RefusedError(f"duplicate key ({CANARY}-third)")] * 3

    async def fails(writes, finished=()):
        if errors:
            raise errors.pop(0)
        return await commit(writes, finished)

    with monkeypatch.context() as patch:
        patch.setattr(backend.record_store, "commit", fails)
        with pytest.raises(InputError):
            await harness.workflow.trigger(f"{CANARY}-third", order)
    lookup = backend.record_store.lookup_many
    broken = [RuntimeError(f"{CANARY} broke"), UnavailableError("away"), RuntimeError(CANARY)]

    async def breaks(refs):
        if broken:
            raise broken.pop(0)
        return await lookup(refs)

    with monkeypatch.context() as patch:
        patch.setattr(backend.record_store, "lookup_many", breaks)
        await harness.workflow.trigger(f"{CANARY}-fourth", order)
        async def left():
            harness.workflow.opened().wake()
            return broken

        await until(left, lambda errors: not errors)
        await harness.settle()


async def test_nothing_personal_is_logged_and_every_line_has_the_same_fields(backend, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    await play(backend, monkeypatch)

    lines = [record for record in caplog.records if record.name.startswith("stepgraph")]
    formatter = logging.Formatter(f"%(message)s {' '.join(f'%({field})s' for field in FIELDS)}")
    text = "\n".join(formatter.format(line) for line in lines)
    assert CANARY not in text
    assert "\nFORGED" not in text
    for role in ("CREATED-consumer", "PAID-timeout", "shop-connector", "failing_hook-hook"):
        assert any(line.role.startswith(role) for line in lines), role
    failed = [line for line in lines if line.error_type == "ValueError"]
    assert {line.attempt for line in failed} >= {1, 2}
    assert all(line.workflow == "orders" and line.instance for line in failed)
    assert any(line.run_id for line in failed)


async def test_the_text_of_an_engine_error_is_told_at_debug_only(caplog):
    caplog.set_level(logging.DEBUG)
    try:
        failing()
    except ValueError as error:
        Log(workflow="orders", role="x").error("it failed", error=error)

    first, second = caplog.records
    assert first.levelno == logging.ERROR
    assert first.getMessage().startswith("it failed: ValueError\n  ")
    assert "test_logs.py" in first.getMessage()
    assert CANARY not in first.getMessage()
    assert second.levelno == logging.DEBUG
    assert CANARY in second.getMessage()
    assert first.filename == "test_logs.py"


def test_a_text_cannot_pretend_to_be_another_line(caplog):
    Log().warning("the store is away", error=UnavailableError("a\nb\r\x1b[31mc\u2028d"))

    assert caplog.records[0].getMessage() == "the store is away: UnavailableError: a b  [31mc d"

