"""Mistakes of callbacks, connectors and of who waits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

from reliability.bank.planted import Planting, bug
from stepgraph.engine.awaiting import Awaiting
from stepgraph.engine.callback import Callbacks
from stepgraph.engine.performers import connector
from stepgraph.engine.performers.connector import ConnectorPerformer
from stepgraph.engine.performers.inbox import InboxPerformer
from stepgraph.engine.receivers.source import SourceReceiver
from stepgraph.model.receipt import CallbackReceipt


@bug("A16: a callback that nobody waits for returns as if it had been taken", "I32")
def callbacks_are_lost_in_silence(planting: Planting) -> None:
    async def keep(self: Any, message: Any, listeners: Any, record: Any) -> Any:
        return CallbackReceipt("", 0, "skipped")

    planting.put(Callbacks, "_keep", keep)


@bug("a callback's key is not kept", "I32")
def callback_keys_are_not_kept(planting: Planting) -> None:
    ask = Callbacks.ask

    async def keyless(
        self: Any, record: Any, waiting: Any, message: Any, finished: Any = ()
    ) -> Any:
        return await ask(self, record, waiting, message._replace(key=None), finished)

    planting.put(Callbacks, "ask", keyless)


@bug("decisions 5: a callback's key is scoped to the run", "I32")
def callback_key_belongs_to_the_run(planting: Planting) -> None:
    from stepgraph.engine import callback

    ask, repeated = Callbacks.ask, Callbacks.repeated

    async def asked(self: Any, record: Any, waiting: Any, message: Any, finished: Any = ()) -> Any:
        key = message.key and f"{message.key}/{record.run_id}"
        return await ask(self, record, waiting, message._replace(key=key), finished)

    async def again(self: Any, message: Any, listeners: Any) -> Any:
        record = await self._store.latest(self._definition.name, message.foreign_id)
        key = message.key and record and f"{message.key}/{record.run_id}"
        return await repeated(self, message._replace(key=key), listeners)

    planting.put(Callbacks, "ask", asked)
    planting.put(Callbacks, "repeated", again)
    assert callback


@bug("an early callback is applied, and its row stays", "I32", "I39")
def applied_letters_stay(planting: Planting) -> None:
    ask = Callbacks.ask

    async def stay(self: Any, record: Any, waiting: Any, message: Any, finished: Any = ()) -> Any:
        receipt = await ask(self, record, waiting, message, ())
        return None if finished and receipt is not None and message.key is None else receipt

    planting.put(Callbacks, "ask", stay)


@bug("an early callback is dropped when its run comes", "I32")
def early_letters_are_dropped(planting: Planting) -> None:
    async def perform(self: Any, row: Any, record: Any) -> Any:
        return None

    planting.put(InboxPerformer, "perform", perform)


@bug("a failing event of a connector is dropped", "I33")
def failing_events_are_dropped(planting: Planting) -> None:
    perform = ConnectorPerformer.perform

    async def once(self: Any, row: Any, record: Any) -> Any:
        try:
            return await perform(self, row, record)
        except Exception:
            return None

    planting.put(ConnectorPerformer, "perform", once)


@bug("an event is acknowledged before the function has it", "I34", "I33")
def source_is_told_first(planting: Planting) -> None:
    take = SourceReceiver._take

    def told(self: Any, event: Any, name: str) -> bool:
        taken = take(self, event, name)
        if taken:
            self._finish([event])
        return bool(taken)

    planting.put(SourceReceiver, "_take", told)


@bug("D4: what an event triggers does not carry its id", "I14")
def events_have_no_key(planting: Planting) -> None:
    @contextmanager
    def keyless(name: str, event_id: str) -> Any:
        yield

    planting.put(connector, "keyed_by", keyless)


@bug("A21: the events of some foreign ids belong to nobody", "I39", "I33")
def some_events_belong_to_nobody(planting: Planting) -> None:
    take = SourceReceiver._take

    def negative(self: Any, event: Any, name: str) -> bool:
        return name != "A" and bool(take(self, event, name))

    planting.put(SourceReceiver, "_take", negative)


@bug("found: a released event waits until the source gives another", "I39")
def released_events_wait_for_the_source(planting: Planting) -> None:
    left = SourceReceiver.left

    def waits(self: Any, work: Any, *, is_finished: bool) -> None:
        offer, self._offer_waiting = self._offer_waiting, lambda: None
        left(self, work, is_finished=is_finished)
        del self._offer_waiting
        assert offer

    planting.put(SourceReceiver, "left", waits)


@bug("A17: who waits sees only what its own process commits", "I42", profile="calm")
def awaiting_looks_at_nothing(planting: Planting) -> None:
    async def look(self: Any) -> bool:
        return False

    planting.put(Awaiting, "_look", look)
