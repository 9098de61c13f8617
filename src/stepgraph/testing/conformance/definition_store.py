"""DefinitionStoreSuite: what a definition store must do."""

from __future__ import annotations

from typing import Any

from stepgraph.ports.definition_store import StoredBody
from stepgraph.testing.conformance.make import NOW


class DefinitionStoreSuite:
    """Definitions by workflow and fingerprint."""

    async def test_a_definition_is_read_back_whole(self, backend: Any) -> None:
        """With who started it, and when, to the microsecond."""
        stored = StoredBody("f1", b'{"\\u00e9": "\xc3\xa9"}', "host-1/a")
        await backend.definition_store.keep("orders", stored, NOW)

        expected = stored._replace(started_at=NOW, first_started_at=NOW)
        assert await backend.definition_store.newest("orders") == expected

    async def test_an_unknown_workflow_has_no_definition(self, backend: Any) -> None:
        """Whatever others have."""
        await backend.definition_store.keep("orders", StoredBody("f1", b"{}"), NOW)

        assert await backend.definition_store.newest("parcels") is None
        assert list(await backend.definition_store.list_definitions("parcels", 9)) == []

    async def test_the_newest_is_what_was_kept_last(self, backend: Any) -> None:
        """Also if the clock of its keeper is behind, and if it was there before."""
        store = backend.definition_store
        for fingerprint, now in (("f1", NOW), ("f2", NOW - 9), ("f1", NOW - 99)):
            await store.keep("orders", StoredBody(fingerprint, fingerprint.encode()), now)
            newest = await store.newest("orders")
            assert newest is not None
            assert newest.fingerprint == fingerprint

    async def test_keeping_again_replaces_all_but_the_first_start(self, backend: Any) -> None:
        """One row for each fingerprint."""
        store = backend.definition_store
        await store.keep("orders", StoredBody("f1", b"1", "a"), NOW)
        await store.keep("orders", StoredBody("f1", b"2", "b"), NOW + 7)

        expected = StoredBody("f1", b"2", "b", NOW + 7, NOW)
        assert list(await store.list_definitions("orders", 9)) == [expected]

    async def test_definitions_are_listed_newest_first(self, backend: Any) -> None:
        """At most the limit."""
        store = backend.definition_store
        for place in range(4):
            await store.keep("orders", StoredBody(f"f{place}", b"{}"), NOW + place)

        found = await store.list_definitions("orders", 3)
        assert [stored.fingerprint for stored in found] == ["f3", "f2", "f1"]

    async def test_every_workflow_is_named_once(self, backend: Any) -> None:
        """In the order of their names."""
        for workflow, fingerprint in (("b", "1"), ("a", "1"), ("b", "2")):
            await backend.definition_store.keep(workflow, StoredBody(fingerprint, b"{}"), NOW)

        assert list(await backend.definition_store.list_workflows()) == ["a", "b"]
