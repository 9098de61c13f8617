"""Parents, children and joins are moved by stored definitions as the code itself would."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from stepgraph import RunState
from stepgraph.engine.moves import By, Creation
from stepgraph.engine.stored_definition import StoredMoves
from stepgraph.model.record import Meta, Parent
from stepgraph.testing import Harness
from tests.families import Stage, baskets, parcels

PARENT = Parent("roots", "r-1", "root-id", 3, 1)


def rich():
    """A workflow with everything that a commit has to know."""
    orders = baskets(parcels(), consume_lag=timedelta(seconds=5))
    orders.add_timeout(Stage.NEW, give_up, after=timedelta(days=1), to=[Stage.DONE])
    orders.add_timeout(Stage.SPLIT, give_up, after=lambda run: None, to=[Stage.DONE])
    orders.callback(Stage.LATE, to=[Stage.DONE], buffer=timedelta(hours=1))(told)
    orders.on(RunState.INITIATED, RunState.CANCELLED)(hear)
    return orders


def give_up(run):
    return Stage.DONE


def told(run, payload: bytes) -> Stage:
    return Stage.DONE


def hear(change):
    pass


def moves_of(instance):
    """What moves runs by stored definitions, as the instance has it."""
    return StoredMoves(
        instance.backend.definition_store,
        instance.clock,
        instance.identity,
        instance=instance.id,
        slot_count=instance.store.slot_count,
    )


def without_write_id(write):
    """A write as two makers of it would agree on."""
    return replace(
        write,
        write_id=b"",
        record=replace(write.record, write_id=b""),
        history=replace(write.history, write_id=b""),
    )


@pytest.mark.parametrize("history", ["full", "off"])
async def test_it_moves_runs_as_the_code_does(backend, history):
    async with Harness(rich(), backend=backend, history=history) as harness:
        supervisor = harness.workflow.opened()
        own, stored = supervisor.moves, await moves_of(supervisor.instance).of("baskets")
        by = By("control")
        for status in (Stage.NEW, Stage.SPLIT, Stage.LATE):
            meta = Meta(parent=PARENT)
            creation = Creation("id", "b-1", status.value, b"{}", meta, None, is_keyed=True)
            created = own.created(creation)
            assert without_write_id(stored.created(creation)) == without_write_id(created)
            for name, arguments in {
                "cancelled": ("why", b"{}", by, ()),
                "paused": ("why", b"{}", by, ()),
                "resumed": (by, ()),
                "advanced": (Stage.DONE.value, b"{}", by, ()),
            }.items():
                one = getattr(own, name)(created.record, *arguments)
                two = getattr(stored, name)(created.record, *arguments)
                assert without_write_id(two) == without_write_id(one)
                ends = [row.run_id for row in one.enqueue if row.consumer == "roots/join"]
                assert ends == (["root-id"] if name in ("cancelled", "advanced") else [])
        assert stored.knows(Stage.DONE.value)
        assert not stored.knows(77)
