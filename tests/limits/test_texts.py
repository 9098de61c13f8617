"""Reasons, actors and errors' texts: kept to a limit, cut at a character and marked."""

import logging
from typing import Literal

import pytest

from stepgraph import Builder, ConnectorEvent, InputError, Pause, Run
from stepgraph.adapters.memory import MemoryConnector
from stepgraph.model.identifier import TEXT_LIMIT, cut_text
from stepgraph.testing import Harness
from tests.engine.test_connectors import settled
from tests.flows import Order, Status, one_step
from tests.limits.corpus import FITTING

MARK = " … [cut]"
LONG = [("x", 1_000_000), ("\u00e9", 513), ("\U0001f600", 257)]
KEPT = [("x", TEXT_LIMIT - 1), ("x", TEXT_LIMIT), ("\u00e9", 512), ("\U0001f600", 256)]
HOSTILE = [*FITTING.values(), "a\nb\r\x1b[31m", ""]


@pytest.mark.parametrize(("letter", "count"), KEPT)
def test_a_text_of_the_limit_is_kept_whole(letter, count):
    assert cut_text(letter * count) == letter * count


@pytest.mark.parametrize(("letter", "count"), [("x", TEXT_LIMIT + 1), *LONG])
def test_a_longer_text_is_cut_at_a_character_and_marked(letter, count):
    cut = cut_text(letter * count)

    assert cut.endswith(MARK)
    assert set(cut.removesuffix(MARK)) == {letter}
    assert TEXT_LIMIT - 4 < len(cut.encode()) <= TEXT_LIMIT


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_fits_is_kept_as_it_is(text):
    assert cut_text(text) == text


@pytest.mark.parametrize(("text", "kept"), [("a\x00b", "a?b"), ("a\ud800b", "a?b"), (None, "None"), (7, "7")])
def test_what_no_store_takes_is_replaced(text, kept):
    assert cut_text(text) == kept


@pytest.mark.parametrize("reason", [*HOSTILE, "x" * 5_000, "a\x00\ud800"])
async def test_reason_and_actor_of_a_control_are_stored(backend, reason):
    async with one_step(lambda run: Status.PAID).build(backend).client() as client:
        run_id = await client.trigger("order-1", Order())

        await client.runs.pause(run_id, reason, actor=reason)
        entry = (await client.runs.history(run_id))[-1]

    assert entry.reason == cut_text(reason)
    assert entry.actor == cut_text(reason, 255)
    assert len(entry.reason.encode()) <= TEXT_LIMIT
    assert len(entry.actor.encode()) <= 255


@pytest.mark.parametrize("reason", ["x" * 5_000, "a\x00\ud800\u202e", "", "\n"])
async def test_reason_and_error_of_a_step_are_stored(backend, reason):
    orders = Builder("orders", Order, Status)

    @orders.step(Status.CREATED, pause_after_error_count=1)
    def step(run: Run[Order, Status]) -> Literal[Status.PAID] | Pause:
        if run.object.total:
            raise LookupError(reason)
        return Pause(reason)

    async with Harness(orders, backend=backend, pause_retry=None) as harness:
        paused = await harness.workflow.trigger("order-0", Order(0))
        failed = await harness.workflow.trigger("order-1", Order(1))
        await harness.settle()
        entry = (await harness.workflow.runs.history(paused))[-1]
        (attempt,) = await harness.workflow.runs.attempts(failed)

    assert entry.reason == cut_text(reason)
    assert attempt.message == cut_text(reason)
    assert len(attempt.traceback.encode()) <= 8192


@pytest.mark.parametrize("letter", ["", "x" * 1_000_000, "\ud800", "a/b", "WyJhIiwxXQ==", None, 7])
async def test_what_is_no_id_of_a_dead_letter_is_refused(backend, letter):
    async with one_step(lambda run: Status.PAID).build(backend).client() as client:
        for act in (client.dead_letters.retry(letter), client.dead_letters.discard(letter, "over")):
            with pytest.raises(InputError, match="is no id of a dead letter") as caught:
                await act
            assert len(str(caught.value)) < 200


async def test_the_words_of_a_discard_cannot_forge_a_line_of_the_log(backend, caplog):
    async def fail(workflow, event):
        raise LookupError("no")

    orders = one_step(lambda run: Status.PAID)
    orders.add_connector("events", fail, max_attempts=1)
    source = MemoryConnector()
    async with Harness(orders, backend=backend, connectors={"events": source}) as harness:
        await source.publish(ConnectorEvent("e-1", "order-1"))
        await settled(harness, source, 1)
        (letter,) = [item async for item in harness.workflow.dead_letters.find()]
        with caplog.at_level(logging.WARNING, "stepgraph.audit"):
            await harness.workflow.dead_letters.discard(
                letter.id, "a\nb" + "x" * 5_000, actor="ann\n\x1b[31m"
            )

    (record,) = [r for r in caplog.records if r.name == "stepgraph.audit"]
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 2 * TEXT_LIMIT
