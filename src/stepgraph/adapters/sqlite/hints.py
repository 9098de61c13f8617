"""SQLiteHints: one datagram socket for each process, in a folder beside the file."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from stepgraph.adapters.sqlite.fork import forks
from stepgraph.ports.hints import Hints

_PATH_LIMIT = 90  # the kernel refuses socket paths of more than 107 bytes


class SQLiteHints(Hints):
    """One byte to each peer, best effort; a peer that is gone is forgotten."""

    def __init__(self, path: str) -> None:
        """Meet the other processes of the file at `path`."""
        self._path = path
        self._socket: socket.socket | None = None
        self._own: Path | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _folder(self) -> Path:
        folder = Path(f"{Path(self._path).resolve()}-hints")
        if len(os.fsencode(folder)) > _PATH_LIMIT - 20:
            name = blake2b(os.fsencode(folder), digest_size=8).hexdigest()
            folder = Path(tempfile.gettempdir()) / f"stepgraph-{os.getuid()}-{name}"
        return folder

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a peer tells of work; without sockets there are no hints, only polls."""
        own_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        own_socket.setblocking(False)
        try:
            folder = self._folder()
            folder.mkdir(mode=0o700, exist_ok=True)
            self._own = folder / f"{os.getpid()}-{id(self):x}"
            self._own.unlink(missing_ok=True)
            own_socket.bind(str(self._own))
        except OSError:
            own_socket.close()
            return
        forks.close_in_child(own_socket)
        self._socket = own_socket
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(own_socket.fileno(), self._received, wake)

    def _received(self, wake: Callable[[], None]) -> None:
        if self._socket is None:
            return
        with suppress(OSError):
            while self._socket.recv(16):
                pass
        wake()

    async def tell(self) -> None:
        """Send one byte to each peer; a full peer is awake already."""
        if self._socket is None or self._own is None:
            return
        for peer in self._own.parent.iterdir():
            if peer == self._own:
                continue
            try:
                self._socket.sendto(b"w", str(peer))
            except ConnectionRefusedError:
                with suppress(OSError):
                    peer.unlink(missing_ok=True)
            except OSError:
                continue

    def stop(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._own is not None:
            with suppress(OSError):
                self._own.unlink(missing_ok=True)
                self._own.parent.rmdir()
            self._own = None
