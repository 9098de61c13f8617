"""Observers are told every fact of their workflows, and harm nothing."""

import logging

import pytest

from stepgraph import Skip
from stepgraph.model.fact import BatchCommitted, EventsConsumed, RunsMoved
from tests.flows import SOON, Order, Status, one_step, three_steps


class Notes:
    """Remembers what it is told."""

    def __init__(self):
        self.facts = []

    def observe(self, fact):
        self.facts.append(fact)

    def of(self, kind):
        return [fact for fact in self.facts if type(fact) is kind]

    @property
    def moves(self):
        return [move for fact in self.of(RunsMoved) for move in fact.moves]


class Raises:
    """An observer, and a tracer, that fails at everything."""

    def observe(self, fact):
        raise RuntimeError("no disk")

    def trace_parent(self):
        raise RuntimeError("no trace")

    def begin(self, call):
        raise RuntimeError("no span")


class EndsBadly(Notes):
    """A tracer whose spans cannot be ended."""

    def trace_parent(self):
        return ""

    def begin(self, call):
        return self

    def end(self, end):
        raise RuntimeError("no end")


@pytest.mark.parametrize("broken", [Raises, EndsBadly])
async def test_an_observer_that_raises_harms_no_run_and_is_told_of_once(backend, broken, caplog):
    notes = Notes()
    flow = three_steps()
    async with flow.build(backend, observers=[broken(), notes]) as workflow:
        for number in range(3):
            run_id = await workflow.trigger(f"o-{number}", Order())
            await workflow.await_status(run_id, Status.SENT, within=SOON)
            record = await workflow.runs.record(run_id)
            assert record.meta.trace_parent == ""

    assert len(notes.moves) == 12
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == len({text.partition(":")[0] for text in errors})
    assert any("tracer" in text for text in errors)
    assert "no disk" not in "".join(errors)


async def test_the_same_observer_in_a_worker_and_a_client_is_told_once(backend):
    notes = Notes()
    workflow = three_steps().build(backend, observers=[notes])
    async with workflow, workflow.client():
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)

    assert [fact.version for fact in notes.moves] == [1, 2, 3, 4]


async def test_facts_of_a_workflow_are_for_its_observers(backend):
    mine, yours = Notes(), Notes()
    first = three_steps("first").build(backend, observers=[mine])
    second = three_steps("second").build(backend, observers=[yours])
    async with first, second:
        run_id = await first.trigger("o-1", Order())
        await first.await_status(run_id, Status.SENT, within=SOON)

    assert {fact.workflow for fact in mine.moves} == {"first"}
    assert yours.moves == []
    assert {fact.workflow for fact in mine.of(EventsConsumed)} == {"first"}
    assert {fact.workflow for fact in yours.of(EventsConsumed)} <= {"second"}
    assert yours.of(BatchCommitted) == mine.of(BatchCommitted) != []


async def test_facts_end_when_the_workflow_is_closed(backend):
    notes = Notes()
    async with three_steps("other").build(backend) as other:
        async with three_steps().build(backend, observers=[notes]):
            pass
        notes.facts.clear()
        run_id = await other.trigger("o-1", Order())
        await other.await_status(run_id, Status.SENT, within=SOON)

    assert notes.facts == []


async def test_what_nobody_observes_is_not_counted(backend):
    async with one_step(lambda run: Skip()).build(backend) as workflow:
        assert not await workflow.opened().instance.counter.count()
