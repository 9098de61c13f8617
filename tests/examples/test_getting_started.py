"""The first example: three steps, and one run that ends early."""

from examples.getting_started.flow import Article, Status, articles
from stepgraph import RunState
from stepgraph.testing import Harness
from tests.examples.programs import printed_by


def test_the_program_publishes_what_can_be_published():
    assert printed_by("getting_started") == [
        "Durable steps: PUBLISHED, 4 pages, checked, laid out, published",
        "Empty: CANCELLED, there is nothing to publish",
    ]


async def test_each_step_leaves_its_mark(backend):
    async with Harness(articles, backend=backend) as harness:
        run = await harness.trigger("a-1", Article("T", "x" * 2000))

        assert run.run_state is RunState.COMPLETED
        await harness.require("a-1", Status.CHECKED, Article("T", "x" * 2000, 0, ["checked"]))
        laid_out = Article("T", "x" * 2000, 2, ["checked", "laid out"])
        await harness.require("a-1", Status.LAID_OUT, laid_out)
