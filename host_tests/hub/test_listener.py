"""The hub's ports on both loopback addresses."""

import asyncio
import errno
import socket
import ssl

import pytest

from tools.hub import certificates
from tools.hub.app import Hub
from tools.hub.listener import peer_name

FRONTS = ("mqtt", "amqp", "amqp_plain", "https")


def addresses():
    """The loopback addresses of this machine."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


@pytest.mark.parametrize("address", addresses())
def test_each_front_listens_there_and_proves_that_address(tmp_path, address):
    async def scenario():
        async with Hub(tmp_path, ports=dict.fromkeys(FRONTS, 0)) as hub:
            context = ssl.create_default_context(cafile=hub.ports["ca_file"])
            for front in FRONTS:
                tls = {} if front == "amqp_plain" else {"ssl": context}
                opened = asyncio.open_connection(address, hub.ports[f"{front}_port"], **tls)
                _, writer = await opened
                writer.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_hub_starts_where_ipv6_is_off(tmp_path, monkeypatch):
    real = socket.create_server

    def create_server(address, *, family=socket.AF_INET, **options):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(address, family=family, **options)

    monkeypatch.setattr(socket, "create_server", create_server)

    async def scenario():
        async with Hub(tmp_path, ports=dict.fromkeys(FRONTS, 0)) as hub:
            for front in FRONTS:
                opened = asyncio.open_connection("127.0.0.1", hub.ports[f"{front}_port"])
                _, writer = await opened
                writer.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_certificate_is_for_localhost_and_both_loopbacks():
    assert certificates.names_of("localhost") == ["localhost", "127.0.0.1", "::1"]


@pytest.mark.parametrize(
    "address, name",
    [
        (("127.0.0.1", 5), "127.0.0.1:5"),
        (("::1", 5, 0, 0), "[::1]:5"),
        (None, "unknown peer"),
    ],
)
def test_name_of_a_peer(address, name):
    class Stream:
        def get_extra_info(self, _):
            return address

    assert peer_name(Stream()) == name
