"""The web hook answers 2xx only for what is stored."""

from http import HTTPStatus

import pytest

from examples.callback.flow import Contract, Status, contracts
from examples.callback.hook import WebHook
from examples.web import Request
from stepgraph import RunState
from stepgraph.testing import Harness
from tests.examples.programs import printed_by

YES = b'{"name": "Ada", "accepted": true}'


def post(contract, body, **headers):
    """A delivery of the signing service."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", f"/signed/{contract}", {}, headers, body)


def test_the_program_shows_every_answer():
    lines = printed_by("callback")
    assert [line.split(":")[1].split()[0] for line in lines if not line.startswith("FILED")] == [
        "409", "400", "200", "200", "409",
    ]  # fmt: skip
    assert "FILED, signed by Ada" in lines


@pytest.mark.parametrize(
    ("body", "status"),
    [(YES, Status.FILED), (b'{"name": "Ada", "accepted": false, "remark": "no"}', Status.REFUSED)],
)
async def test_a_signature_moves_the_contract_once(backend, body, status):
    async with Harness(contracts, backend=backend) as harness:
        hook = WebHook(harness.workflow)
        await harness.trigger("c-1", Contract("Ada"))

        answers = [await hook.handle(post("c-1", body, webhook_id="d-1")) for _ in range(3)]

        assert [a.status for a in answers] == [HTTPStatus.OK] * 3
        assert [a.body for a in answers] == ["applied", "repeated", "repeated"]
        run = await harness.latest("c-1")
        assert (run.status, run.object.signed_by) == (status, "Ada")


async def test_what_is_not_stored_is_never_answered_well(backend):
    async with Harness(contracts, backend=backend) as harness:
        hook = WebHook(harness.workflow)
        assert (await hook.handle(post("c-1", YES))).status is HTTPStatus.CONFLICT
        run = await harness.trigger("c-1", Contract("Ada"))
        for body in (b"", b"{", b'{"name": "Ada"}', b'{"name": 5, "accepted": true}'):
            assert (await hook.handle(post("c-1", body))).status is HTTPStatus.BAD_REQUEST
        assert (await harness.latest("c-1")).version == run.version
        await harness.workflow.runs.pause(run.id, "wait")
        assert (await hook.handle(post("c-1", YES))).status is HTTPStatus.CONFLICT
        assert (await harness.latest("c-1")).run_state is RunState.PAUSED
        assert (await hook.handle(Request("GET", "/signed/c-1", {}, {}, b""))).status is HTTPStatus.NOT_FOUND
