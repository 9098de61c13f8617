"""Events start runs, once each, and a broken one holds up nobody."""

from datetime import timedelta

from examples.connector.__main__ import signed_up
from examples.connector.flow import Status, welcomes
from stepgraph import ConnectorEvent
from stepgraph.adapters.memory import MemoryConnector
from stepgraph.testing import Harness
from tests.examples.programs import printed_by


def test_the_program_greets_each_member_once():
    assert printed_by("connector") == [
        "member-1: GREETED, Ada got 1 mail",
        "member-2: GREETED, Alan got 1 mail",
        "parked: member-3 after 5 attempts, JSONDecodeError",
    ]


async def test_a_redelivery_after_the_end_greets_nobody_again(backend):
    members = MemoryConnector()
    async with Harness(welcomes, backend=backend, connectors={"members": members}) as harness:
        for _ in range(3):
            await members.publish(signed_up(1, "Ada"))
            await harness.settle()

        assert await harness.workflow.runs.count() == 1
        run = await harness.latest("member-1")
        assert (run.status, run.object.mails) == (Status.GREETED, 1)


async def test_a_broken_event_is_parked_and_the_others_go_on(backend):
    members = MemoryConnector()
    async with Harness(welcomes, backend=backend, connectors={"members": members}) as harness:
        broken = ConnectorEvent("e-9", "member-9", "signed-up", b"{")
        other = ConnectorEvent("e-8", "member-8", "moved", b"")
        await members.publish(broken, other, signed_up(1, "Ada"))
        await harness.settle()
        assert await harness.workflow.runs.count() == 1

        await harness.advance(timedelta(hours=1))

        (letter,) = [letter async for letter in harness.workflow.dead_letters.find()]
        assert (letter.subject, letter.attempts) == ("member-9", 5)
