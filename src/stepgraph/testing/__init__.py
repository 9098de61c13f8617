"""What tests need: a clock that jumps, a harness, faults, runs and children made by hand."""

from stepgraph.testing.clock import FakeClock
from stepgraph.testing.faults import Faults
from stepgraph.testing.harness import Harness
from stepgraph.testing.make_child import make_child
from stepgraph.testing.make_run import make_run

__all__ = ["FakeClock", "Faults", "Harness", "make_child", "make_run"]
