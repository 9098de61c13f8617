"""What tests of workflows need: a clock that jumps, a harness, runs and children made by hand."""

from stepgraph.testing.clock import FakeClock
from stepgraph.testing.harness import Harness
from stepgraph.testing.make_child import make_child
from stepgraph.testing.make_run import make_run

__all__ = ["FakeClock", "Harness", "make_child", "make_run"]
