"""A hub that does not answer over AMQP: each wait times out and names its stage."""

import pytest

from host_tests.support.scripted_amqp_server import ScriptedAmqpServer
from iothub.amqp.composites import (
    ATTACH,
    DETACH,
    END,
    ERROR,
    MECHANISMS,
    OUTCOME,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import SASL, frame
from tools.tcp_server import TcpServer

TRANSPORTS = ("amqp",)
ONCE = {"connection_retry": False}


async def outcome(testbed, localhost_tls, scripted, name="connect"):
    """The first result of the program `name` against a scripted server."""
    async with testbed.program_on(scripted, localhost_tls, name, ONCE) as program:
        return await program.expect_any("connected", "sent", "raised")


EVENTS = "/devices/any/messages/events"


@pytest.mark.parametrize(
    ("silent", "stage"),
    [
        ("header", None),
        ("mechanisms", "open"),
        ("outcome", "open"),
        ("second header", None),
        ("open", None),
        ("begin", "open"),
        ("attach $cbs", "attach"),
        ("token", "token"),
        ("attach " + EVENTS, "attach"),
    ],
)
def test_missing_answer_while_connecting_times_out(testbed, localhost_tls, silent, stage):
    async def scenario():
        said = await outcome(testbed, localhost_tls, ScriptedAmqpServer(silent))
        if silent in ("header", "second header"):  # what follows is no header
            assert said[:2] == ["raised", "ProtocolError"]
        elif silent == "open":
            assert said[0] in ("connected", "raised")
        else:
            assert said[:3] == ["raised", "OperationTimeout", stage]

    testbed.run(scenario)


@pytest.mark.parametrize("silent", ["credit " + EVENTS, "disposition"])
def test_missing_answer_afterwards_ends_the_connection(testbed, localhost_tls, silent):
    async def scenario():
        said = await outcome(testbed, localhost_tls, ScriptedAmqpServer(silent), "telemetry")
        assert said[:3] == ["raised", "OperationTimeout", "disposition"]

    testbed.run(scenario)


def end(descriptor, **fields):
    return frame(0, Composite(descriptor, **fields))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"header": b"HTTP/1.1"}, ["ProtocolError", "read"]),
        ({"mechanisms": frame(0, Composite(MECHANISMS, sasl_server_mechanisms="X"), kind=SASL)},
         ["CredentialError", "sasl"]),
        ({"outcome": frame(0, Composite(OUTCOME, code=1), kind=SASL)},
         ["CredentialError", "sasl"]),
        ({"open": b"\xff\xff\xff\xff\2\0\0\0"}, ["ProtocolError", "read"]),
        ({"begin": end(END)}, ["ConnectionDroppedError", "read"]),
        ({"begin": end(TRANSFER, handle=5)}, ["ProtocolError", "read"]),
        ({"begin": b"\0\0\0\x09\2\0\0\0x"}, ["ProtocolError", "read"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_invalid_answer_while_connecting_is_an_error(testbed, localhost_tls, wrong, error):
    async def scenario():
        said = await outcome(testbed, localhost_tls, ScriptedAmqpServer(instead=wrong))
        assert said[:3] == ["raised", *error]

    testbed.run(scenario)


def redirect(port):
    """A detach of the telemetry link with a redirect to another port."""
    info = {"hostname": "localhost", "network-host": "localhost", "port": port}
    error = Composite(ERROR, condition="amqp:link:redirect", description="there", info=info)
    return end(DETACH, handle=2, closed=True, error=error)


def refused_attach():
    return end(
        ATTACH, name="2" + EVENTS, handle=2, role=True, source=None, target=None,
        initial_delivery_count=None,
    )  # fmt: skip


def test_redirect_to_a_closed_port_is_an_error(testbed, localhost_tls):
    async def scenario():
        wrong = {"attach " + EVENTS: refused_attach() + redirect(1)}
        said = await outcome(testbed, localhost_tls, ScriptedAmqpServer(instead=wrong))
        assert said[:3] == ["raised", "ConnectionFailedError", "tcp"]

    testbed.run(scenario)


def test_redirect_is_followed(testbed, localhost_tls):
    async def scenario():
        async with TcpServer(ScriptedAmqpServer().serve, localhost_tls[0]) as there:
            wrong = {"attach " + EVENTS: refused_attach() + redirect(there.port)}
            said = await outcome(
                testbed, localhost_tls, ScriptedAmqpServer(instead=wrong), "telemetry"
            )
        assert said == ["sent"]

    testbed.run(scenario)


def test_circular_redirect_is_an_error(testbed, localhost_tls):
    async def scenario():
        round_again = ScriptedAmqpServer()
        async with TcpServer(round_again.serve, localhost_tls[0]) as there:
            circle = {"attach " + EVENTS: refused_attach() + redirect(there.port)}
            round_again.instead = circle
            said = await outcome(testbed, localhost_tls, ScriptedAmqpServer(instead=circle))
        assert said[:2] == ["raised", "ServiceError"]
        assert said[3] == "amqp:link:redirect"

    testbed.run(scenario)


def test_settled_telemetry_is_sent(testbed, localhost_tls):
    async def scenario():
        said = await outcome(testbed, localhost_tls, ScriptedAmqpServer(), "telemetry")
        assert said == ["sent"]

    testbed.run(scenario)
