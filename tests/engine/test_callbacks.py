"""What the outside world may tell a run."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pytest

from stepgraph import (
    Builder,
    CallbackReceipt,
    Cancel,
    InputError,
    InvalidTransitionError,
    NotWaitingError,
    Pause,
    PayloadError,
    Repeat,
    Run,
    RunNotFoundError,
    RunState,
    Skip,
    UnavailableError,
)
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from tests.engine.test_steps import until
from tests.flows import SOON, Order, Status


@dataclass
class Payment:
    amount: int


def paying(**options):
    """A workflow that waits for a payment."""
    orders = Builder("orders", Order, Status)

    @orders.callback(Status.CREATED, **options)
    async def paid(run: Run[Order, Status], payment: Payment) -> Literal[Status.PAID] | Skip | Pause | Cancel | Repeat:
        if payment.amount == 0:
            return Skip()
        if payment.amount == -1:
            return Repeat()
        if payment.amount == -2:
            return Pause("odd")
        if payment.amount == -3:
            return Cancel("no")
        if payment.amount == -4:
            raise ValueError("boom")
        run.object.total += payment.amount
        run.object.seen.append(run.idempotency_key)
        return Status.PAID

    return orders, paid


async def test_a_callback_moves_the_run_and_says_so(backend):
    orders, paid = paying()
    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order(1))

        receipt = await workflow.callback("o-1", paid, Payment(5))

        assert receipt == CallbackReceipt(run_id, 2, "applied")
        run = await workflow.runs.get(run_id)
        assert (run.status, run.object.total, run.run_state) == (Status.PAID, 6, RunState.COMPLETED)
        assert (await workflow.runs.history(run_id))[-1].cause == "callback"


@pytest.mark.parametrize(
    ("amount", "effect", "version", "state"),
    [
        (0, "skipped", 1, RunState.INITIATED),
        (-1, "applied", 2, RunState.RUNNING),
        (-2, "applied", 2, RunState.PAUSED),
        (-3, "applied", 2, RunState.CANCELLED),
    ],
)
async def test_every_answer_of_a_callback(backend, amount, effect, version, state):
    orders, paid = paying()
    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order(1))

        receipt = await workflow.callback("o-1", Status.CREATED, b'{"amount": %d}' % amount)

        assert (receipt.effect, receipt.version) == (effect, version)
        assert (await workflow.runs.get(run_id)).run_state is state


async def test_an_error_goes_to_the_caller_and_counts_for_nothing(backend):
    orders, paid = paying()
    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order(1))

        with pytest.raises(ValueError, match="boom"):
            await workflow.callback("o-1", paid, Payment(-4))

        assert await workflow.runs.attempts(run_id) == []
        assert (await workflow.runs.get(run_id)).version == 1


@pytest.mark.parametrize("payload", [b"{}", b"\xff", b'{"amount": "5"}', {"amount": "x"}, b"x" * (1024 * 1024 + 1)])
async def test_a_payload_is_checked_before_anything_is_written(backend, payload):
    orders, paid = paying()
    async with orders.build(backend) as workflow:
        await workflow.trigger("o-1", Order(1))

        with pytest.raises(PayloadError):
            await workflow.callback("o-1", paid, payload)

        assert (await workflow.runs.latest("o-1")).version == 1


async def test_nobody_waiting_is_never_silence(backend):
    orders, paid = paying()
    async with orders.build(backend) as workflow:
        with pytest.raises(NotWaitingError, match="no run"):
            await workflow.callback("o-1", paid, Payment(5))
        run_id = await workflow.trigger("o-1", Order(1))
        with pytest.raises(RunNotFoundError):
            await workflow.callback("o-2", paid, Payment(5), run_id=run_id)
        await workflow.runs.pause(run_id, "wait")
        with pytest.raises(NotWaitingError, match="PAUSED") as error:
            await workflow.callback("o-1", paid, Payment(5))
        assert error.value.run.id == run_id
        await workflow.runs.resume(run_id)
        await workflow.callback("o-1", paid, Payment(5))
        with pytest.raises(NotWaitingError, match="COMPLETED in PAID"):
            await workflow.callback("o-1", paid, Payment(5))
        with pytest.raises(InputError, match="no callback"):
            await workflow.callback("o-1", Status.PACKED)


async def test_callbacks_of_a_status_are_asked_in_order_until_one_does_not_skip(backend):
    asked = []
    orders = Builder("orders", Order, Status)

    @orders.callback(Status.CREATED)
    def first(run: Run[Order, Status], payload: bytes) -> Literal[Status.PAID] | Skip:
        asked.append(("first", payload))
        return Skip()

    @orders.callback(Status.CREATED)
    async def second(run: Run[Order, Status], payload: bytes) -> Literal[Status.PACKED]:
        asked.append(("second", payload))
        return Status.PACKED

    @orders.callback(Status.CREATED)
    async def third(run: Run[Order, Status], payload) -> Literal[Status.SENT]:
        asked.append(("third", payload))
        return Status.SENT

    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.callback("o-1", Status.CREATED, b"x")

        assert asked == [("first", b"x"), ("second", b"x")]
        assert (await workflow.runs.get(run_id)).status is Status.PACKED


async def test_a_callback_may_go_only_where_it_declares(backend):
    orders = Builder("orders", Order, Status)

    @orders.callback(Status.CREATED, to=Status.PAID)
    async def wrong(run, payload):
        return Status.SENT

    async with orders.build(backend) as workflow:
        await workflow.trigger("o-1", Order())
        with pytest.raises(InvalidTransitionError):
            await workflow.callback("o-1", wrong, b"")


async def test_a_key_applies_once_also_to_the_next_run(backend):
    orders, paid = paying()
    async with orders.build(backend) as workflow:
        first = await workflow.trigger("o-1", Order(1))
        receipt = await workflow.callback("o-1", paid, Payment(5), idempotency_key="k")
        second = await workflow.trigger("o-1", Order(1))

        again = await workflow.callback("o-1", paid, Payment(5), idempotency_key="k")

        assert again == CallbackReceipt(first, receipt.version, "repeated")
        assert (await workflow.runs.get(second)).version == 1
        assert (await workflow.callback("o-1", paid, Payment(5), idempotency_key="l")).run_id == second


async def test_of_many_callbacks_with_one_key_one_is_applied(backend):
    orders, paid = paying()
    async with orders.build(backend) as workflow:
        await workflow.trigger("o-1", Order(0))

        calls = [workflow.callback("o-1", paid, Payment(5), idempotency_key="k") for _ in range(10)]
        receipts = await asyncio.gather(*calls)

        assert sorted(r.effect for r in receipts) == ["applied"] + ["repeated"] * 9
        assert (await workflow.runs.latest("o-1")).object.total == 5


async def test_callbacks_that_race_each_see_the_others_answer(backend):
    orders = Builder("orders", Order, Status)

    @orders.callback(Status.CREATED, to=Status.PAID)
    async def part(run: Run[Order, Status], amount: int) -> Status | Repeat:
        await asyncio.sleep(0.01)
        run.object.total += amount
        return Repeat() if run.object.total < 3 else Status.PAID

    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await asyncio.gather(*(workflow.callback("o-1", part, 1) for _ in range(3)))

        assert (await workflow.runs.get(run_id)).object.total == 3
        assert (await workflow.runs.get(run_id)).status is Status.PAID


async def test_a_client_can_call_back(new_backend):
    orders, paid = paying()
    async with orders.build(new_backend()) as worker, orders.build(new_backend()).client() as client:
        run_id = await worker.trigger("o-1", Order())
        assert (await client.callback("o-1", paid, Payment(1))).run_id == run_id


async def test_an_early_callback_is_kept_and_applied_once(backend):
    orders, paid = paying(buffer=timedelta(minutes=5))
    async with orders.build(backend) as workflow:
        for _ in range(2):
            receipt = await workflow.callback("o-1", paid, Payment(7), idempotency_key="k")
            assert receipt == CallbackReceipt("", 0, "buffered")

        run_id = await workflow.trigger("o-1", Order())
        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

        assert (run.object.total, run.version) == (7, 2)
        again = await workflow.callback("o-1", paid, Payment(7), idempotency_key="k")
        assert again == CallbackReceipt(run_id, 2, "repeated")


async def test_a_callback_for_a_paused_run_is_applied_after_the_resume(backend):
    orders, paid = paying(buffer=timedelta(minutes=5))
    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.runs.pause(run_id, "wait")
        assert (await workflow.callback("o-1", paid, Payment(7))).effect == "buffered"

        await workflow.runs.resume(run_id)

        assert (await workflow.await_status(run_id, Status.PAID, within=SOON)).object.total == 7


async def test_an_early_callback_that_nobody_takes_is_parked(backend):
    orders, paid = paying(buffer=timedelta(milliseconds=20))
    async with orders.build(backend) as workflow:
        await workflow.callback("o-1", paid, Payment(7))
        await workflow.callback("o-2", paid, Payment(7))

        async def letters():
            return [letter async for letter in workflow.dead_letters.find(kind="callback")]

        found = await until(letters, lambda value: len(value) == 2)
        assert {letter.subject for letter in found} == {"o-1", "o-2"}
        assert "Payment" not in repr(found)


async def test_a_kept_callback_is_answered_so_although_the_store_goes_away_then(monkeypatch):
    latest, looks = MemoryRecordStore.latest, []

    async def fail_at_the_second_look(self, workflow, foreign_id):
        looks.append(foreign_id)
        if len(looks) == 2:
            raise UnavailableError("away")
        return await latest(self, workflow, foreign_id)

    monkeypatch.setattr(MemoryRecordStore, "latest", fail_at_the_second_look)
    orders, paid = paying(buffer=timedelta(hours=1))
    async with orders.build(Memory()) as workflow:
        receipt = await workflow.callback("o-1", paid, Payment(5))

        assert receipt.effect == "buffered"
    assert len(looks) >= 2
