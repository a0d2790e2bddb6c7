"""tools.loopback: sockets that listen on both loopback addresses."""

import contextlib
import errno
import socket
from types import SimpleNamespace

import pytest

from tools import loopback

BOTH = ["127.0.0.1", "::1"]


@contextlib.contextmanager
def listening(host, port=0):
    """[(address, port)] of what listeners() gives."""
    made = loopback.listeners(host, port)
    try:
        yield [one.getsockname()[:2] for one in made]
    finally:
        for one in made:
            one.close()


class Machine:
    """A machine whose ::1 is a stand-in. refused: {address: errno}, for the first `times`."""

    def __init__(self, monkeypatch, refused, times=1000):
        self.asked = []
        self._refused = refused
        self._times = times
        self._real = socket.create_server
        monkeypatch.setattr(socket, "create_server", self._create_server)

    def _create_server(self, address, **options):
        self.asked.append(address)
        if address[0] in self._refused and self._times:
            self._times -= 1
            raise OSError(self._refused[address[0]], "refused")
        if address[0] == "::1":
            return SimpleNamespace(getsockname=lambda: address, close=lambda: None)
        return self._real(address, **options)


def test_both_loopbacks_have_one_port(monkeypatch):
    machine = Machine(monkeypatch, {})
    with listening("localhost") as found:
        (_, first), (_, second) = found
        assert first == second
        assert machine.asked == [("127.0.0.1", 0), ("::1", first)]


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_machine_without_ipv6_has_127_0_0_1_alone(monkeypatch, number):
    Machine(monkeypatch, {"::1": number})
    with listening("localhost") as found:
        assert [address for address, _ in found] == ["127.0.0.1"]


def test_free_port_is_free_on_both(monkeypatch):
    """The port that was free on 127.0.0.1 is in use on ::1, twice."""
    machine = Machine(monkeypatch, {"::1": errno.EADDRINUSE}, times=2)
    with listening("localhost") as found:
        assert len(found) == 2
    assert [address for address, _ in machine.asked] == BOTH * 3


def test_wanted_port_that_is_in_use_is_an_error(monkeypatch):
    with listening("127.0.0.1") as found:
        (taken,) = found
    machine = Machine(monkeypatch, {"::1": errno.EADDRINUSE})
    with pytest.raises(OSError) as caught:
        loopback.listeners("localhost", taken[1])
    assert caught.value.errno == errno.EADDRINUSE
    assert len(machine.asked) == 2
    with socket.create_server(taken):  # what had been opened is closed
        pass


def test_address_means_that_address_alone():
    with listening("127.0.0.1") as found:
        assert [address for address, _ in found] == ["127.0.0.1"]
