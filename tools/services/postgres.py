"""PostgresService: a PostgreSQL server with the settings it comes with, so durable."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from tools.services.service import (
    MissingServiceError,
    apt_install,
    free_port,
    private_folder,
    server_user,
    spawn,
)

_START_SECONDS = 60
_STOP_SECONDS = 30


def _programs() -> Path | None:
    """Return the folder of the newest server programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: int(path.parent.parent.name),
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path is not None else None


class PostgresService:
    """Listens on the loopback only, and trusts it."""

    def __init__(self) -> None:
        """Choose a port; nothing is made before `install` and `start`."""
        self._port = free_port()
        self._programs: Path | None = None
        self._user: str | None = None
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the DSN of an empty database."""
        return f"postgresql://stepgraph@127.0.0.1:{self._port}/postgres"

    def install(self) -> None:
        """Take what is installed, or Debian's package."""
        self._programs = _programs()
        if self._programs is None:
            apt_install("postgresql")
            self._programs = _programs()
        if self._programs is None:
            raise MissingServiceError("the package is installed, but there is no postgres program")
        # The server refuses to run as root.
        self._user = server_user("postgres")

    def start(self) -> None:
        """Make the data folder the first time, then run the server on it."""
        if self._programs is None:
            self.install()
        if self._folder is None:
            self._folder = private_folder("postgres", self._user)
            self._make_data()
        command = [
            self._program("postgres"), "-D", str(self._folder / "data"), "-p", str(self._port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            "-c", "max_connections=200", "-c", "log_min_messages=fatal",
        ]  # fmt: skip
        self._process = spawn(command, self._user, self._folder / "log", "INT")
        self._await_answer(self._process)

    def crash(self) -> None:
        """Stop as "immediate" does: no checkpoint, no farewell to clients."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """Stop as "fast" does, and delete the data."""
        self._end(signal.SIGINT)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _program(self, name: str) -> str:
        if self._programs is None:
            raise MissingServiceError("install() comes first")
        return str(self._programs / name)

    def _make_data(self) -> None:
        if self._folder is None:
            raise MissingServiceError("start() makes the folder first")
        command = [
            self._program("initdb"), "-D", str(self._folder / "data"), "-U", "stepgraph",
            "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd="/", user=self._user,
            group=self._user, extra_groups=None if self._user is None else [],
        )  # fmt: skip
        if done.returncode:
            raise MissingServiceError(f"initdb failed: {done.stderr.strip()}")

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        """Ask until the server answers; recovery after a crash takes a while."""
        command = [self._program("pg_isready"), "-h", "127.0.0.1", "-p", str(self._port), "-q"]
        ends_at = time.monotonic() + _START_SECONDS
        while subprocess.run(command, check=False).returncode:
            if process.poll() is not None or time.monotonic() > ends_at:
                log = (self._folder or Path()) / "log"
                text = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise MissingServiceError(f"the server does not start: {text}")
            time.sleep(0.02)
