"""The pytest plug-in, which is active wherever Stepgraph is installed beside pytest.

It gives the fixture `fake_clock`, and fails a test that leaves a workflow open at its end. What a
fixture of a wider scope has opened before the test may stay open. `-p no:stepgraph` switches the
plug-in off.
"""

from stepgraph_pytest import fake_clock, no_workflow_left_open

__all__ = ["fake_clock", "no_workflow_left_open"]
