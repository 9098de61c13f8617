"""What a release looks like is stored, and runs are controlled by it without their code."""

import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

import msgspec
import pytest

from stepgraph import Builder, Pause, RunState, Skip, draw
from stepgraph.adapters.memory import Memory
from stepgraph.blueprint import blueprint_of
from stepgraph.diagram import draw_blueprint
from stepgraph.engine.stored_client import open_stored
from stepgraph.engine.stored_definition import StoredMoves, read_stored
from stepgraph.errors import InputError, SchemaError
from stepgraph.ports.clock import SystemClock
from stepgraph.ports.definition_store import StoredBody
from stepgraph.ports.identity import Identity
from stepgraph.runs import Runs
from tests.engine.test_steps import until
from tests.flows import SOON, Order, Status, three_steps


def everything(told):
    """A workflow with each kind of function, whose step does nothing."""
    orders = Builder("orders", Order, Status)
    orders.add_step(
        Status.CREATED, lambda run: Skip(), to=Status.PAID, consume_lag=timedelta(milliseconds=5)
    )
    orders.add_callback(Status.PAID, lambda run, payload: Status.PACKED, to=Status.PACKED, name="c", buffer=SOON)
    orders.add_timeout(Status.PAID, lambda run: Status.SENT, after=timedelta(days=1), to=Status.SENT, name="t")
    orders.add_timeout(Status.PAID, lambda run: Status.SENT, after=lambda run: None, to=Status.SENT, name="d")

    @orders.on(RunState.PAUSED, RunState.CANCELLED)
    async def note(change):
        told.append((change.run_state, change.actor))

    return orders


async def test_start_stores_what_the_release_looks_like(new_backend):
    backend, orders = new_backend(), everything([])
    definition = orders.definition()
    async with orders.build(backend) as workflow:
        newest = await backend.definition_store.newest("orders")
        stored = read_stored("orders", newest)
        own = workflow.opened().announcer

        assert newest.fingerprint == definition.fingerprint
        assert newest.started_by == workflow.opened().instance.id
        assert stored.blueprint == blueprint_of(definition)
        announcer = stored.announcer(16)
        assert (announcer.places, announcer.hooks) == (own.places, own.hooks)
        assert announcer.is_relayed is own.is_relayed is False


async def test_a_stored_release_knows_that_its_events_are_relayed():
    backend = Memory()
    async with three_steps().build(backend, event_streamer=Memory()) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)
        stored = read_stored("orders", await backend.definition_store.newest("orders"))

    assert stored.announcer(16).is_relayed
    assert stored.announcer(16).work_row("o-1", "r", 1, 1, 5)[0].consumer == "orders/relay"


async def test_a_stored_release_can_be_drawn(new_backend):
    backend, orders = new_backend(), everything([])
    async with orders.build(backend):
        stored = read_stored("orders", await backend.definition_store.newest("orders"))

    assert draw_blueprint(stored.blueprint, "svg") == draw(orders.definition(), format="svg")


async def test_a_client_stores_nothing(backend):
    async with everything([]).build(backend).client():
        assert await backend.definition_store.newest("orders") is None


async def test_a_run_is_controlled_without_its_code(new_backend):
    told = []
    async with everything(told).build(new_backend()) as workflow:
        run_id = await workflow.trigger("o-1", Order(total=7))
        async with open_stored(new_backend(), "orders") as client:
            runs = Runs(client.definition, lambda: client)
            run = await runs.pause(run_id, "look at it", actor="anna")
            assert (run.run_state, run.status.name, run.object["total"]) == (RunState.PAUSED, "CREATED", 7)
            assert (await runs.resume(run_id, actor="anna")).run_state is RunState.RUNNING
            await runs.cancel(run_id, "no longer wanted", actor="anna")
            with pytest.raises(Exception, match="CANCELLED"):
                await runs.pause(run_id, "too late")

        async def read():
            return told

        # The hooks of the process that has the code are told of what the other did.
        await until(read, lambda found: len(found) == 2)
        assert (await workflow.runs.get(run_id)).reason == "no longer wanted"
    assert sorted(told) == [(RunState.PAUSED, "anna"), (RunState.CANCELLED, "anna")]


async def test_a_run_that_is_resumed_without_its_code_goes_on(new_backend):
    answers = [Pause("a person looks")]
    flow = Builder("orders", Order, Status)
    flow.add_step(
        Status.CREATED, lambda run: answers.pop() if answers else Status.PAID, to=Status.PAID
    )
    async with flow.build(new_backend()) as workflow:
        run_id = await workflow.trigger("o-1", Order())

        async def state():
            return (await workflow.runs.get(run_id)).run_state

        await until(state, lambda found: found is RunState.PAUSED)
        async with open_stored(new_backend(), "orders") as client:
            await Runs(client.definition, lambda: client).resume(run_id)
        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

    assert run.run_state is RunState.COMPLETED


async def test_the_rows_of_a_stored_release_are_those_of_its_code(new_backend):
    backend = new_backend()
    async with everything([]).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order(), status=Status.PAID)
        supervisor = workflow.opened()
        record = await workflow.runs.record(run_id)
        moves = await StoredMoves(
            backend.definition_store, SystemClock(), Identity(), instance="x", slot_count=16
        ).of("orders")
        assert moves is not None

        own, stored = (m._announcer for m in (supervisor.moves, moves))
        assert stored.entry_rows(record, 5) == own.entry_rows(record, 5)
        assert stored.resume_rows(record, 5) == own.resume_rows(record, 5)
        assert stored.timer_keys(record) == own.timer_keys(record)
        assert len(stored.entry_rows(record, 5)) == 3


async def test_a_workflow_that_was_never_started_is_refused_with_those_that_were(new_backend):
    async with three_steps().build(new_backend()):
        pass
    with pytest.raises(InputError, match="no workflow 'parcels' was started.*: orders were"):
        async with open_stored(new_backend(), "parcels"):
            pass


async def test_a_later_format_is_refused(backend):
    with pytest.raises(SchemaError, match="format 99"):
        read_stored("orders", StoredBody("f", msgspec.json.encode({"format": 99})))


def other_release(object_type, *edges):
    """A release of "orders" with other objects and edges."""
    orders = Builder("orders", object_type, Status)
    for before, after in edges:
        orders.add_step(before, lambda run, after=after: after, to=after)
    return orders


@dataclass
class Parcel:
    weight: int = 0


CHAIN = [(Status.CREATED, Status.PAID), (Status.PAID, Status.PACKED), (Status.PACKED, Status.SENT)]


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (other_release(Parcel, *CHAIN), r"objects are Order\(seen .*total int\), here Parcel\(weight .*int"),
        (other_release(Order, *CHAIN[:2]), "only there: PACKED to SENT"),
    ],
)
async def test_another_graph_or_object_under_one_name_is_warned_of_once(new_backend, caplog, release, words):
    async with three_steps().build(new_backend()), release.build(new_backend()):
        pass

    found = [r for r in caplog.records if "two programs use one name" in r.getMessage()]
    assert len(found) == 1
    assert found[0].levelno == logging.WARNING
    assert re.search(words, found[0].getMessage())


async def test_releases_that_see_runs_alike_are_not_warned_of(new_backend, caplog):
    later = three_steps()
    later.on(RunState.PAUSED, name="tell")(lambda change: None)
    async with three_steps().build(new_backend()), later.build(new_backend()):
        pass

    assert not [r for r in caplog.records if "another definition" in r.getMessage()]


def test_blueprints_tell_added_and_removed_statuses():
    class Later(IntEnum):
        CREATED = 1
        LOST = 9

    flow = Builder("orders", Order, Later)
    flow.add_step(Later.CREATED, lambda run: Later.LOST, to=Later.LOST)
    own, other = blueprint_of(three_steps().definition()), blueprint_of(flow.definition())

    only_there, only_here = own.differences(other)
    assert only_there == "only there: CREATED to LOST, LOST=9"
    assert "PAID to PACKED" in only_here
