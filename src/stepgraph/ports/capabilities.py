"""Capabilities: what an adapter promises."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Capabilities(Struct, frozen=True):
    """Promises that the engine and the conformance kit read; nobody asks for a backend by name.

    durability: what a store survives: "durable" power loss, "process" the kill of a server,
        "volatile" nothing.
    is_shared: whether several processes can work on it at once.
    replays: whether a new subscription of an event streamer starts at the oldest event.
    has_transactions: whether a user's statements can join a commit.
    """

    durability: Literal["durable", "process", "volatile"] = "volatile"
    is_shared: bool = False
    replays: bool = False
    has_transactions: bool = False
