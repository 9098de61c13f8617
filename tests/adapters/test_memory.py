"""The memory backend keeps every contract."""

import pytest

from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.testing.conformance import (
    CensusSuite,
    ConnectorSuite,
    DefinitionStoreSuite,
    EventStreamerSuite,
    RecordStoreSuite,
    RetentionSuite,
    RoleSchedulerSuite,
    TimeoutStoreSuite,
    WorkQueueSuite,
)


class TestMemory(
    RecordStoreSuite,
    WorkQueueSuite,
    RetentionSuite,
    EventStreamerSuite,
    TimeoutStoreSuite,
    RoleSchedulerSuite,
    DefinitionStoreSuite,
    CensusSuite,
):
    @pytest.fixture
    def backend(self):
        return Memory()


class TestMemoryConnector(ConnectorSuite):
    @pytest.fixture
    def connector(self):
        return MemoryConnector()
