"""The key of an outside event: what a connector's function triggers carries it by itself."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b

from stepgraph.model.identifier import ID_LIMIT

_key: ContextVar[str | None] = ContextVar("stepgraph_event_key", default=None)


@contextmanager
def keyed_by(connector: str, event_id: str) -> Generator[None]:
    """Use this event as the key of everything that is triggered inside and has none of its own."""
    key = f"{connector}/{event_id}"
    if len(key.encode(errors="replace")) > ID_LIMIT:
        digest = blake2b(event_id.encode(errors="replace"), digest_size=16).hexdigest()
        key = f"{connector}/#{digest}"
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


def own_or_event_key(key: str | None) -> str | None:
    """Return the caller's key, else that of the event that is being handled, if there is one."""
    return key if key is not None else _key.get()
