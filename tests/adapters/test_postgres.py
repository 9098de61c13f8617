"""The PostgreSQL backend keeps every contract, and what is its own."""

import pytest

from stepgraph.adapters.postgres import Postgres
from stepgraph.testing.conformance import (
    BacklogSuite,
    CensusSuite,
    ChildStoreSuite,
    DefinitionStoreSuite,
    EventStreamerSuite,
    RecordStoreSuite,
    RetentionSuite,
    RoleSchedulerSuite,
    ScheduleStoreSuite,
    TimeoutStoreSuite,
    WorkQueueSuite,
)
from tests.postgres import empty_postgres


class TestPostgres(
    RecordStoreSuite,
    WorkQueueSuite,
    EventStreamerSuite,
    TimeoutStoreSuite,
    RoleSchedulerSuite,
    DefinitionStoreSuite,
    CensusSuite,
    ScheduleStoreSuite,
    ChildStoreSuite,
    BacklogSuite,
    RetentionSuite,
):
    @pytest.fixture
    async def backend(self):
        backend = Postgres(empty_postgres())
        await backend.open()
        yield backend
        await backend.close()
