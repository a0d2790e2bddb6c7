"""A host with several addresses: the next one is tried where one refuses or is silent."""

import contextlib
import os
import socket
import sys

import pytest

from tools.tcp_server import TcpServer

TRANSPORTS = ("mqtt",)
REFUSING = "127.0.0.2"  # nothing listens there: the hub has 127.0.0.1 and ::1 alone
ACCEPTING = "127.0.0.1"


def ipv6():
    """Whether this machine has ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6")


@contextlib.contextmanager
def silent(port):
    """Make the port of REFUSING answer no SYN: its listener's queue is full."""
    with socket.socket() as listener, socket.socket() as first:
        try:
            listener.bind((REFUSING, port))
        except OSError:
            pytest.skip(f"this machine has no {REFUSING}")
        listener.listen(0)
        first.connect((REFUSING, port))
        yield


async def outcome(testbed, text, addresses, **options):
    """["connected"], or the words of the error, where localhost has these addresses."""
    settings = {"resolver": {"localhost": addresses}, "options": options}
    async with testbed.program("connect", connection_string=text, **settings) as program:
        words = await program.expect_any("connected", "raised")
        return words if words[0] == "connected" else words[1:]


async def new_device(testbed):
    async with testbed.service() as service:
        return testbed.connection_string(*await testbed.new_device(service))


@pytest.mark.parametrize(
    "addresses",
    [
        [REFUSING, ACCEPTING],
        [REFUSING, REFUSING, REFUSING, ACCEPTING],
        pytest.param([REFUSING, "::1"], marks=needs_ipv6),
        pytest.param(["::1"], marks=needs_ipv6),
    ],
    ids="+".join,
)
def test_address_that_answers_is_taken(testbed, addresses):
    async def scenario():
        text = await new_device(testbed)
        assert await outcome(testbed, text, addresses) == ["connected"]

    testbed.run(scenario)


def test_address_after_a_silent_one_is_tried(testbed):
    async def scenario():
        text = await new_device(testbed)
        with silent(testbed.port):
            words = await outcome(testbed, text, [REFUSING, ACCEPTING], timeout=2)
        assert words == ["connected"]

    testbed.run(scenario)


def test_refusal_by_all_addresses_is_named_tcp(testbed):
    async def scenario():
        text = testbed.connection_string("any", "AAAA")
        words = await outcome(testbed, text, [REFUSING, REFUSING])
        assert words == ["ConnectionFailedError", "tcp", None]

    testbed.run(scenario)


def test_silent_address_times_out_at_tcp(testbed):
    async def scenario():
        text = testbed.connection_string("any", "AAAA")
        with silent(testbed.port):
            words = await outcome(testbed, text, [REFUSING], timeout=1)
        assert words == ["OperationTimeout", "tcp", None]

    testbed.run(scenario)


def sockets_of(program):
    """The number of sockets that a program has open."""
    folder = f"/proc/{program.pid}/fd"
    return sum("socket:" in os.readlink(f"{folder}/{one}") for one in os.listdir(folder))


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.parametrize("stage", ["tcp", "tls"])
def test_failed_connection_leaves_no_socket_open(testbed, stage):
    async def no_tls(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def scenario():
        async with TcpServer(no_tls) as server:
            text = testbed.connection_string("any", "AAAA", port=server.port)
            settings = {"connection_string": text, "offline": True, "options": {"timeout": 1}}
            if stage == "tcp":
                settings["resolver"] = {"localhost": [REFUSING]}
            with silent(server.port):
                async with testbed.program("device", **settings) as program:
                    await program.expect("ready")
                    before = sockets_of(program)
                    for _ in range(2):
                        await program.tell("connect")
                        assert (await program.expect("error"))[1] == stage
                    assert sockets_of(program) == before

    testbed.run(scenario)
