"""What tests of workflows need: a clock that jumps, a harness, faults, and runs made by hand."""

from stepgraph.testing.clock import FakeClock
from stepgraph.testing.faults import Faults
from stepgraph.testing.harness import Harness
from stepgraph.testing.make_run import make_run

__all__ = ["FakeClock", "Faults", "Harness", "make_run"]
