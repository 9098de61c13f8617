"""The site: who may see it, which page is asked for, and what a button does.

It listens on the loopback interface only, and every request needs the token that the program
prints. A page of another origin can neither know the token nor read an answer, and the Host header
is checked, so that no foreign name can be pointed at this address.
"""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote

from examples.web import Request, Response
from examples.web_ui.pages import STYLE, list_page, page, run_page
from stepgraph import (
    InvalidRunStateError,
    RunNotFoundError,
    RunState,
    VersionConflictError,
    Workflow,
    draw,
)

_SHOWN = 100
_STATES = [
    RunState.INITIATED,
    RunState.RUNNING,
    RunState.PAUSED,
    RunState.COMPLETED,
    RunState.CANCELLED,
]
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The picture brings its own style, and nothing else.
_PICTURE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


class Site:
    """Shows the runs of one workflow, and acts on them through `workflow.runs`."""

    def __init__(self, workflow: Workflow[Any, Any]) -> None:
        """Make a token of its own."""
        self.token = secrets.token_urlsafe(24)
        self._workflow = workflow

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        if request.headers.get("host", "").rpartition(":")[0] not in ("127.0.0.1", "localhost"):
            return _html(HTTPStatus.BAD_REQUEST, page("This site has another name", ""))
        if request.method == "GET" and request.path == "/style.css":
            return Response(HTTPStatus.OK, STYLE, "text/css; charset=utf-8", _HEADERS)
        fields = parse_qs(request.body.decode("latin-1"))
        form = {name: values[-1] for name, values in fields.items()}
        given = (form if request.method == "POST" else request.query).get("token", "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return _html(HTTPStatus.FORBIDDEN, page("Use the address that was printed", ""))
        try:
            return await self._route(request, form)
        except RunNotFoundError:
            return _html(HTTPStatus.NOT_FOUND, page("There is no such run", ""))
        except (VersionConflictError, InvalidRunStateError) as error:
            # The page was older than the run. Nothing was done; the message says how it is now.
            return _html(HTTPStatus.CONFLICT, page(str(error), ""))

    async def _route(self, request: Request, form: dict[str, str]) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                return await self._list(request.query.get("state", ""))
            case "GET", ["diagram.svg"]:
                picture = draw(self._workflow.definition, format="svg")
                return Response(HTTPStatus.OK, picture, "image/svg+xml", _HEADERS | _PICTURE)
            case "GET", ["runs", run_id]:
                return await self._show(run_id)
            case "POST", ["runs", run_id, action]:
                return await self._act(run_id, action, form)
            case _:
                return _html(HTTPStatus.NOT_FOUND, page("There is no such page", ""))

    async def _list(self, state: str) -> Response:
        runs = self._workflow.runs
        counts = {known: await runs.count(run_state=known) for known in _STATES}
        if state in RunState.__members__:
            found = runs.find(run_state=RunState[state], limit=_SHOWN)
        else:
            found = runs.find(limit=_SHOWN)
        return _html(HTTPStatus.OK, list_page([run async for run in found], counts, self.token))

    async def _show(self, run_id: str) -> Response:
        runs = self._workflow.runs
        run = await runs.get(run_id)
        history, attempts = await runs.history(run_id), await runs.attempts(run_id)
        return _html(HTTPStatus.OK, run_page(run, history, attempts, self.token))

    async def _act(self, run_id: str, action: str, form: dict[str, str]) -> Response:
        runs = self._workflow.runs
        run = await runs.get(run_id)
        shown = form.get("version", "")
        if shown != str(run.version):
            raise VersionConflictError(int(shown) if shown.isdecimal() else 0, run)
        # A Snapshot means the run as it was seen: if it moves on in between, it is refused too.
        if action == "pause":
            await runs.pause(run, "paused on the page", actor="page")
        elif action == "resume":
            await runs.resume(run, actor="page")
        elif action == "retry":
            await runs.retry(run, actor="page")
        elif action == "cancel":
            await runs.cancel(run, "cancelled on the page", actor="page")
        else:
            return _html(HTTPStatus.NOT_FOUND, page("There is no such action", ""))
        there = {"Location": f"/runs/{quote(run_id)}?token={quote(self.token)}"}
        return Response(HTTPStatus.SEE_OTHER, "", headers=_HEADERS | there)


def _html(status: HTTPStatus, text: str) -> Response:
    return Response(status, text, "text/html; charset=utf-8", _HEADERS)
