"""A contract is sent to a customer, waits for the signature, and is filed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from stepgraph import Builder, Run


class Status(IntEnum):
    """Where a contract is."""

    DRAFTED = 1
    SENT = 2
    SIGNED = 3
    REFUSED = 4
    FILED = 5


@dataclass
class Contract:
    """A contract."""

    customer: str
    signed_by: str = ""
    remark: str = ""


@dataclass
class Signature:
    """What the signing service posts, as JSON. It is checked before anything is written."""

    name: str
    accepted: bool
    remark: str = ""


contracts = Builder("contracts", Contract, Status)


@contracts.step(Status.DRAFTED)
async def send(run: Run[Contract, Status]) -> Literal[Status.SENT]:
    """Hand the contract to the signing service (with run.idempotency_key, so that it goes once)."""
    return Status.SENT


# A callback is what the outside world may tell a run in SENT. It runs in the process that was
# called, and the caller's answer is given only after its result is committed.
@contracts.callback(Status.SENT)
async def signed(
    run: Run[Contract, Status], signature: Signature
) -> Literal[Status.SIGNED, Status.REFUSED]:
    """Take the customer's answer."""
    run.object.signed_by = signature.name
    run.object.remark = signature.remark
    return Status.SIGNED if signature.accepted else Status.REFUSED


@contracts.step(Status.SIGNED)
async def file_away(run: Run[Contract, Status]) -> Literal[Status.FILED]:
    """Put it where it is found again."""
    return Status.FILED
