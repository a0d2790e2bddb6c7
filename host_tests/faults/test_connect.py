"""Faults in CONNECT and CONNACK of a reconnect: the error is named, and the device recovers."""

import pytest

from host_tests.support.fault_proxy import device_behind_proxy, send_and_wait
from host_tests.support.network_faults import (
    CONNACK,
    CONNECT,
    Cut,
    Drop,
    Duplicate,
    Reset,
    Rewrite,
)

TRANSPORTS = ("mqtt",)
CLOSED = ["ConnectionDroppedError", "read", None]
NO_MQTT = ["ProtocolError", "read", None]


def answered(into):
    return lambda: Rewrite(CONNACK, into=into, lasting=True)


WELCOMES = {
    "1": (answered(b"\x20\x02\x00\x01"), ["ServiceError", "connack", 1]),
    "2": (answered(b"\x20\x02\x00\x02"), ["CredentialError", "connack", 2]),
    "3": (answered(b"\x20\x02\x00\x03"), ["ConnectionFailedError", "connack", None]),
    "4": (answered(b"\x20\x02\x00\x04"), ["CredentialError", "connack", 4]),
    "5": (answered(b"\x20\x02\x00\x05"), ["CredentialError", "connack", 5]),
    "garbage": (answered(b"HTTP/1.1 400 Bad Request\r\n\r\n"), NO_MQTT),
    "too long": (answered(b"\x20\x03\x00\x00\x00"), NO_MQTT),
    "none": (lambda: Drop(CONNACK, lasting=True), ["OperationTimeout", "connack", None]),
    "cut CONNECT": (lambda: Cut(CONNECT, byte=9, lasting=True), CLOSED),
    "cut CONNACK": (lambda: Cut(CONNACK, byte=3, lasting=True), CLOSED),
    "reset CONNACK": (lambda: Reset(CONNACK, byte=1, lasting=True), CLOSED),
}


@pytest.mark.parametrize("kind", WELCOMES)
def test_invalid_connack_is_named_and_retried(testbed, localhost_tls, kind):
    async def scenario():
        fault, expected = WELCOMES[kind]
        options = {"timeout": 1} if kind == "none" else {}
        async with device_behind_proxy(testbed, localhost_tls, options=options) as made:
            _, _, program, proxy = made
            proxy.fault = fault()
            proxy.cut()
            await program.expect("background", *CLOSED)
            for _ in range(2):
                assert await program.expect("background") == expected
            proxy.fault = None
            await program.expect("state", True)
            await send_and_wait(program, "after")

    testbed.run(scenario)


def test_second_connack_is_a_protocol_error(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as (_, _, program, proxy):
            proxy.fault = Duplicate(CONNACK)
            proxy.cut()
            await program.expect("background", *CLOSED)
            assert await program.expect("background") == ["ProtocolError", "connack", None]
            await program.expect("state", True)
            await send_and_wait(program, "after")

    testbed.run(scenario)


def test_closed_port_is_retried(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as (_, _, program, proxy):
            proxy.stop_listening()
            proxy.cut()
            await program.expect("background", *CLOSED)
            for _ in range(2):
                assert await program.expect("background") == ["ConnectionFailedError", "tcp", None]
            await proxy.listen()
            await program.expect("state", True)
            await send_and_wait(program, "after")

    testbed.run(scenario)
