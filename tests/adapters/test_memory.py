"""The memory backend keeps every contract."""

import pytest

from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.testing.conformance import (
    CensusSuite,
    ChildStoreSuite,
    ConnectorSuite,
    DefinitionStoreSuite,
    EventStreamerSuite,
    RecordStoreSuite,
    RoleSchedulerSuite,
    TimeoutStoreSuite,
    WorkQueueSuite,
)


class TestMemory(
    RecordStoreSuite,
    WorkQueueSuite,
    EventStreamerSuite,
    TimeoutStoreSuite,
    RoleSchedulerSuite,
    DefinitionStoreSuite,
    CensusSuite,
    ChildStoreSuite,
):
    @pytest.fixture
    def backend(self):
        return Memory()


class TestMemoryConnector(ConnectorSuite):
    @pytest.fixture
    def connector(self):
        return MemoryConnector()
