"""The pytest plug-in, seen from a project that has Stepgraph installed."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

FLOW = '''
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
import pytest
from stepgraph import Builder, Repeat
from stepgraph.adapters.memory import Memory
from stepgraph.testing import Harness

class Status(IntEnum):
    NEW = 1
    DONE = 2

@dataclass
class Job:
    pages: int = 0

def flow(name="jobs"):
    jobs = Builder(name, Job, Status)
    jobs.add_step(Status.NEW, lambda run: Status.DONE, to=Status.DONE)
    return jobs
'''

LEFT_OPEN = FLOW + '''
kept = []

{mark}
async def test_that_leaves_it_open():
    workflow = flow().build(Memory())
    kept.append(workflow)
    await workflow.start()

{mark}
async def test_that_closes_it(fake_clock):
    async with Harness(flow(), clock=fake_clock) as harness:
        run = await harness.trigger("a", Job())
        assert run.status is Status.DONE
        await harness.advance(timedelta(days=30))
        assert fake_clock.now().day == 31

def test_without_a_loop():
    pass
'''


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("@pytest.mark.asyncio", ["-p", "no:anyio"]),
        ("@pytest.mark.anyio\n@pytest.mark.parametrize('anyio_backend', ['asyncio'])", ["-p", "no:asyncio"]),
    ],
    ids=["pytest-asyncio", "anyio"],
)
def test_a_workflow_left_open_fails_its_test_and_no_other(pytester, mark, options):
    pytester.makepyfile(LEFT_OPEN.format(mark=mark))

    result = pytester.runpytest_subprocess("-p", "no:randomly", *options)

    # The test itself passed; what fails is its end.
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*left open at the end of the test: workflow 'jobs' on instance *"])
    result.stdout.fnmatch_lines(["ERROR *test_that_leaves_it_open*"])


def test_what_a_wider_fixture_opened_may_stay_open(pytester):
    pytester.makepyfile(
        FLOW
        + '''
import pytest_asyncio

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workflow():
    async with flow().build(Memory()) as workflow:
        yield workflow

@pytest.mark.asyncio(loop_scope="module")
async def test_one(workflow):
    await workflow.trigger("a", Job())

@pytest.mark.asyncio(loop_scope="module")
async def test_two(workflow):
    await workflow.trigger("b", Job())
    async with workflow.client():
        pass
'''
    )

    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


def test_it_is_active_where_stepgraph_is_installed_and_can_be_switched_off(pytester):
    (found,) = entry_points(group="pytest11", name="stepgraph")
    assert found.value == "stepgraph_pytest"
    pytester.makepyfile("def test_clock(fake_clock): assert fake_clock.now().year == 2030")

    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    pytester.runpytest_subprocess("-p", "no:stepgraph").assert_outcomes(errors=1)


def test_it_can_be_named_as_well(pytester):
    pytester.makeconftest('pytest_plugins = ["stepgraph.testing.pytest_plugin"]')
    pytester.makepyfile("def test_clock(fake_clock): assert fake_clock.now().year == 2030")

    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_it_imports_nothing_of_stepgraph_for_tests_that_do_not():
    program = (
        "import stepgraph_pytest, sys;"
        "print([name for name in sys.modules if name.split('.')[0] in ('stepgraph', 'msgspec')])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


def test_the_assertions_of_the_kit_fail_a_test_readably(pytester):
    pytester.makepyfile(
        FLOW
        + '''
@pytest.mark.asyncio
async def test_it():
    async with Harness(flow()) as harness:
        await harness.trigger("a", Job(3))
        await harness.require("a", Status.DONE, Job(4))
'''
    )

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: expected DONE with Job(pages=4), but it was there with another object",
            "E*'a': NEW -> DONE; now COMPLETED in DONE at version 2",
            "E*version 2, 2030-01-01 00:00:00 by step: COMPLETED in DONE, Job(pages=3)",
        ]
    )
