"""The web hook: what the signing service posts to, and what it is answered."""

from __future__ import annotations

from http import HTTPStatus

from examples.callback.flow import Contract, Status, signed
from examples.web import Request, Response
from stepgraph import NotWaitingError, PayloadError, UnavailableError, Workflow


class WebHook:
    """`POST /signed/<contract>` with a JSON body and a `Webhook-Id` header."""

    def __init__(self, workflow: Workflow[Contract, Status]) -> None:
        """Tell the runs of `workflow`."""
        self._workflow = workflow

    async def handle(self, request: Request) -> Response:
        """Answer 2xx only for what is stored: the sender repeats everything else."""
        contract = request.path.removeprefix("/signed/")
        if request.method != "POST" or not contract or contract == request.path:
            return Response(HTTPStatus.NOT_FOUND)
        try:
            # The key makes a repeated delivery harmless: it is applied once, and answered again.
            receipt = await self._workflow.callback(
                contract, signed, request.body, idempotency_key=request.headers.get("webhook-id")
            )
        except PayloadError as error:
            return Response(HTTPStatus.BAD_REQUEST, str(error))
        except NotWaitingError as error:
            # Too early, too late, or no such contract. Silence here would lose the signature.
            return Response(HTTPStatus.CONFLICT, str(error))
        except UnavailableError:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "try again")
        return Response(HTTPStatus.OK, receipt.effect)
