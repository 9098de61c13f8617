"""Servers: what the tests need from tools/services, started once a session when first asked for."""

from __future__ import annotations

import os

import pytest
from tools.services import SERVICES, MissingServiceError, Service


class Servers:
    """A server that cannot be had is told of loudly; where it is required, its tests fail.

    `STEPGRAPH_REQUIRE` names the required ones, separated by commas, or is "all".
    """

    def __init__(self) -> None:
        self._running: dict[str, Service] = {}
        self.missing: dict[str, str] = {}

    def get(self, name: str) -> Service:
        """Return a server that runs; skip or fail the test if there is none."""
        if name not in self._running and name not in self.missing:
            service = SERVICES[name]()
            try:
                service.install()
                service.start()
            except MissingServiceError as error:
                service.stop()
                self.missing[name] = str(error)
            else:
                self._running[name] = service
        if name in self.missing:
            required = os.environ.get("STEPGRAPH_REQUIRE", "").split(",")
            text = f"{name} is not tested here: {self.missing[name]}"
            if name in required or "all" in required:
                pytest.fail(text, pytrace=False)
            pytest.skip(text)
        return self._running[name]

    def stop(self) -> None:
        """Stop all."""
        for service in self._running.values():
            service.stop()
        self._running.clear()


SERVERS = Servers()
