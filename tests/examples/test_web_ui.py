"""The page shows what is stored, escapes it, and acts only for whoever has the token."""

import asyncio
import http.client
import re
import signal
import subprocess
import sys
from urllib.parse import urlencode, urlsplit

import pytest

from examples.web import Request, listen, port_of
from examples.web_ui.site import Site
from stepgraph import Builder, RunState, Skip
from stepgraph.testing import Harness
from tests.flows import Order, Status, one_step


@pytest.fixture
async def shop(backend):
    """A harness whose runs wait, and the site that shows them."""
    async with Harness(one_step(lambda run: Skip()), backend=backend) as harness:
        yield harness, Site(harness.workflow)


async def get(site, path, host="127.0.0.1:80", **query):
    """What the site answers."""
    return await site.handle(Request("GET", path, {"token": site.token} | query, {"host": host}, b""))


async def press(site, run, action, **form):
    """Press a button as the page shows it."""
    form = {"token": site.token, "version": str(run.version)} | form
    headers = {"host": "localhost:80"}
    return await site.handle(
        Request("POST", f"/runs/{run.id}/{action}", {}, headers, urlencode(form).encode())
    )


async def test_runs_and_their_history_are_shown_and_escaped(shop):
    harness, site = shop
    run = await harness.trigger("<script>alert(1)</script>", Order(5, ["<b>bold</b>"]))
    await harness.workflow.runs.pause(run.id, "<i>why</i>", actor="<u>anna</u>")

    listed = (await get(site, "/")).body
    shown = (await get(site, f"/runs/{run.id}")).body

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in listed
    for text in ("&lt;b&gt;bold&lt;/b&gt;", "&lt;i&gt;why&lt;/i&gt;", "control &lt;u&gt;anna&lt;/u&gt;"):
        assert text in shown
    for raw in ("<script>", "<b>", "<i>", "<u>"):
        assert raw not in listed + shown
    assert "paused 1" in listed
    assert "&lt;script" not in (await get(site, "/", state="COMPLETED")).body


async def test_the_workflow_is_drawn(shop):
    _, site = shop
    assert '<img src="/diagram.svg?token=' in (await get(site, "/")).body
    picture = await get(site, "/diagram.svg")
    assert (picture.status, picture.content_type) == (200, "image/svg+xml")
    assert picture.body.startswith("<svg")
    assert "CREATED" in picture.body
    assert (await get(site, "/diagram.svg", token="")).status == 403


async def test_every_button_acts_and_says_who(shop):
    harness, site = shop
    run = await harness.trigger("o-1", Order())
    for action, state in [
        ("pause", RunState.PAUSED), ("resume", RunState.RUNNING), ("retry", RunState.RUNNING),
        ("cancel", RunState.CANCELLED),
    ]:  # fmt: skip
        answer = await press(site, await harness.latest("o-1"), action)
        assert answer.status == 303
        assert answer.headers["Location"].startswith(f"/runs/{run.id}?token=")
        assert (await harness.latest("o-1")).run_state is state
    assert (await harness.workflow.runs.history(run.id))[-1].actor == "page"
    assert "<button>" not in (await get(site, f"/runs/{run.id}")).body


async def test_a_page_that_is_older_than_the_run_acts_on_nothing(shop):
    harness, site = shop
    seen = await harness.trigger("o-1", Order())
    await harness.workflow.runs.pause(seen.id, "by somebody else")

    answer = await press(site, seen, "cancel")

    assert answer.status == 409
    assert "PAUSED" in answer.body
    assert (await harness.latest("o-1")).run_state is RunState.PAUSED
    assert (await press(site, await harness.latest("o-1"), "pause")).status == 409


async def test_without_the_token_nothing_is_shown_or_done(shop):
    harness, site = shop
    run = await harness.trigger("o-1", Order())
    for answer in (
        await get(site, "/", token="wrong"),
        await get(site, f"/runs/{run.id}", token=""),
        await press(site, run, "cancel", token="é"),
        await site.handle(Request("POST", f"/runs/{run.id}/cancel", {"token": site.token}, {"host": "localhost:1"}, b"")),
    ):
        assert answer.status == 403
        assert "o-1" not in answer.body
    assert (await get(site, "/", host="evil.example:80")).status == 400
    assert (await harness.latest("o-1")).version == run.version


async def test_what_is_not_there_is_not_found(shop):
    harness, site = shop
    run = await harness.trigger("o-1", Order())
    for path in ("/runs/nothing", "/other", "/runs/a/b/c"):
        assert (await get(site, path)).status == 404
    assert (await press(site, run, "explode")).status == 404
    assert (await press(site, run, "pause", version="x")).status == 409


async def test_the_server_speaks_http():
    jobs = Builder("jobs", Order, Status)
    jobs.add_step(Status.CREATED, lambda run: Skip(), to=Status.PAID)
    async with Harness(jobs) as harness:
        site = Site(harness.workflow)
        server = await listen(site.handle)

        def ask(method, path, body=b"", headers=None):
            connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
            try:
                connection.request(method, path, body, headers or {})
                response = connection.getresponse()
                return response.status, response.headers, response.read().decode()
            finally:
                connection.close()

        status, headers, body = await asyncio.to_thread(ask, "GET", f"/?token={site.token}")
        assert (status, "Runs" in body) == (200, True)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert (await asyncio.to_thread(ask, "GET", "/style.css"))[0] == 200
        assert (await asyncio.to_thread(ask, "GET", "/"))[0] == 403
        too_long = {"Content-Length": str(2**30)}
        assert (await asyncio.to_thread(ask, "POST", "/", b"", too_long))[0] == 400
        server.close()
        await server.wait_closed()


def test_the_program_serves_until_it_is_stopped():
    command = [sys.executable, "-u", "-W", "error", "-m", "examples.web_ui"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = urlsplit(process.stdout.readline().strip())
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        connection.request("GET", f"/?{url.query}")
        page = connection.getresponse().read().decode()
        connection.close()
        for name in ("lamp", "chair", "sofa", "rug"):
            assert re.search(rf">{name}</a>", page)
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "\nStopped.\n"), errors
    assert "Traceback" not in errors
