"""A web server of a few lines over asyncio's streams, for the examples that need one.

One request a connection, bodies of at most a megabyte, ten seconds for everything. In your own
program use the web framework that you have: all that Stepgraph needs of it is an event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

_BODY_LIMIT = 1024 * 1024
_SECONDS = 10.0
_HEADERS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. Header names are in lower case; of a repeated query key the last one counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What goes out."""

    status: HTTPStatus
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handle = Callable[[Request], Awaitable[Response]]


async def listen(handle: Handle, port: int = 0) -> asyncio.Server:
    """Serve on the loopback interface; port 0 takes any that is free. Close what is returned."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                writer.write(_encoded(await _answer(handle, reader)))
                await writer.drain()
        except (TimeoutError, ConnectionError):
            pass  # whoever asked is gone
        finally:
            writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", port)


def port_of(server: asyncio.Server) -> int:
    """Return the port that a server listens on."""
    return int(server.sockets[0].getsockname()[1])


async def _answer(handle: Handle, reader: asyncio.StreamReader) -> Response:
    try:
        request = await _read(reader)
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return Response(HTTPStatus.BAD_REQUEST, "this is no request that can be read")
    return await handle(request)


async def _read(reader: asyncio.StreamReader) -> Request:
    method, target, _ = (await reader.readline()).decode("latin-1").split()
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        if len(headers) >= _HEADERS_LIMIT:
            raise ValueError("too many headers")
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _BODY_LIMIT:
        raise ValueError("too long")
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    return Request(method, url.path, query, headers, await reader.readexactly(length))


def _encoded(response: Response) -> bytes:
    body = response.body.encode()
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "Cache-Control": "no-store",
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
