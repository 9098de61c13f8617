"""Service: a private server on a private port and folder; and what all of them need."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class MissingServiceError(Exception):
    """The server cannot be had on this machine; the text says why."""


class Service(Protocol):
    """One private server. Everything that it owns is gone after `stop`, or if this process dies."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Return where a client finds the server; the same after every start."""
        ...

    @abstractmethod
    def install(self) -> None:
        """Get the programs, if they are not there. Raises `MissingServiceError`."""
        ...

    @abstractmethod
    def start(self) -> None:
        """Start, with the data of the last start if there was one, and return once it answers."""
        ...

    @abstractmethod
    def crash(self) -> None:
        """End at once, as by a power switch; `start` goes on with what is on disk."""
        ...

    @abstractmethod
    def stop(self) -> None:
        """End, and delete the data. May be called twice."""
        ...


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def apt_install(*packages: str) -> None:
    """Install Debian packages, as root only. Raises `MissingServiceError`."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise MissingServiceError(f"install it first: apt-get install {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", *packages]):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=600
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise MissingServiceError(f"apt-get install {names} failed: {last}")


def private_folder(name: str, user: str | None) -> Path:
    """Make a folder for a server's data that `user` owns."""
    folder = Path(tempfile.mkdtemp(prefix=f"stepgraph-{name}-"))
    if user is not None:
        shutil.chown(folder, user, user)
    return folder


def server_user(user: str) -> str | None:
    """Return the user to run a server as that refuses root, or None if this one will do."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise MissingServiceError(f"there is no user {user} to run the server as") from None
    return user


def spawn(
    command: Sequence[str], user: str | None, log: Path, death: str = "TERM"
) -> subprocess.Popen[bytes]:
    """Start a server in the background; it gets the signal `death` when this process dies."""
    if shutil.which("setpriv") is not None:
        command = ["setpriv", "--pdeathsig", death, "--", *command]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
