"""The services start, keep their data through a crash, and leave nothing behind."""

import socket

import pytest
from tools.services import SERVICES, MissingServiceError

from tests.servers import SERVERS, Servers


def answers(url):
    """Return whether something listens where the URL says."""
    host, _, port = url.rpartition("@")[2].partition("/")[0].partition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_answers_until_it_is_stopped(name):
    SERVERS.get(name)
    service = SERVICES[name]()
    service.install()
    service.start()
    assert answers(service.url)
    service.crash()
    assert not answers(service.url)
    service.start()
    assert answers(service.url)
    service.stop()
    service.stop()
    assert not answers(service.url)


class Unobtainable:
    """A service that no machine has."""

    def install(self):
        raise MissingServiceError("nobody makes it")

    def stop(self):
        pass


@pytest.mark.parametrize(
    ("required", "outcome"), [("", pytest.skip.Exception), ("other", pytest.skip.Exception),
                              ("all", pytest.fail.Exception), ("a,rare", pytest.fail.Exception)]
)  # fmt: skip
def test_a_missing_server_is_skipped_or_fails_where_it_is_required(monkeypatch, required, outcome):
    monkeypatch.setitem(SERVICES, "rare", Unobtainable)
    monkeypatch.setenv("STEPGRAPH_REQUIRE", required)
    servers = Servers()

    with pytest.raises(outcome, match="rare is not tested here: nobody makes it"):
        servers.get("rare")
    assert servers.missing == {"rare": "nobody makes it"}
