"""A hub that owes an answer over AMQP: each wait ends, with its stage."""

import asyncio
import contextlib

import pytest

from iothub.amqp.codec import Typed
from iothub.amqp.composites import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    DETACH,
    DISPOSITION,
    END,
    ERROR,
    FLOW,
    INIT,
    MECHANISMS,
    OPEN,
    OUTCOME,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, SASL, SASL_HEADER, FrameDecoder, frame
from iothub.amqp.sections import VALUE, AmqpMessage, decode_message

TRANSPORTS = ("amqp",)
SHORT = {"timeout": 1, "operation_timeout": 20, "keep_alive": 4, "connection_retry": False}


class Scripted:
    """A TLS server that answers as a hub does, but for what is in `silent` or `wrong`."""

    def __init__(self, silent=None, wrong=None):
        self._silent = silent
        self._wrong = wrong or {}

    async def serve(self, reader, writer):
        decoder, links, count = FrameDecoder(1 << 20), {}, 0

        def send(what, data):
            if what != self._silent:
                writer.write(bytes(self._wrong.get(what, data)))

        with contextlib.suppress(OSError):
            while data := await asyncio.wait_for(reader.read(65536), 30):
                decoder.feed(data)
                while decoder.at_header() and (header := decoder.take_header()):
                    if header == SASL_HEADER:
                        offer = Composite(MECHANISMS, sasl_server_mechanisms=["ANONYMOUS"])
                        send("header", SASL_HEADER)
                        send("mechanisms", frame(0, offer, kind=SASL))
                    else:
                        send("second header", AMQP_HEADER)
                while not decoder.at_header() and (taken := decoder.take()):
                    count += 1
                    self._answer(taken[2], taken[3], links, send, count)
        writer.close()

    def _answer(self, got, payload, links, send, count):
        if got is None:
            return
        kind = got.descriptor
        if kind == INIT:
            send("outcome", frame(0, Composite(OUTCOME, code=0), kind=SASL))
        elif kind == OPEN:
            opened = Composite(OPEN, container_id="x", max_frame_size=65536, idle_time_out=4000)
            send("open", frame(0, opened))
        elif kind == BEGIN:
            window = {"incoming_window": 1000, "outgoing_window": 1000}
            begin = Composite(BEGIN, remote_channel=0, next_outgoing_id=0, **window)
            send("begin", frame(0, begin))
        elif kind == ATTACH:
            address = (got.source if got.role else got.target).address
            links[got.handle] = address, got.role
            attach = Composite(
                ATTACH, name=got.name, handle=got.handle, role=not got.role, source=got.source,
                target=got.target, initial_delivery_count=0,
            )  # fmt: skip
            send("attach " + address, frame(0, attach))
            if not got.role:
                flow = Composite(
                    FLOW, next_incoming_id=0, incoming_window=1000, next_outgoing_id=0,
                    outgoing_window=1000, handle=got.handle, delivery_count=0, link_credit=100,
                )  # fmt: skip
                send("credit " + address, frame(0, flow))
        elif kind == TRANSFER:
            self._transfer(got, payload, links, send)

    def _transfer(self, got, payload, links, send):
        address, _ = links[got.handle]
        if address == "$cbs":
            request = decode_message(payload).properties.message_id
            answer = AmqpMessage(None, VALUE, correlation_id=request)
            answer.application = {"status-code": Typed("int", 200)}
            handle = next(h for h, link in links.items() if link == ("$cbs", True))
            transfer = Composite(
                TRANSFER, handle=handle, delivery_id=0, delivery_tag=b"t", settled=True
            )
            send("token", frame(0, transfer, answer.encode()))
        else:
            state = Composite(ACCEPTED)
            settled = Composite(
                DISPOSITION, role=True, first=got.delivery_id, settled=True, state=state
            )
            send("disposition", frame(0, settled))


async def outcome(bench, localhost_tls, scripted, name="connect"):
    """What the program `name` says against a scripted hub."""
    context, ca = localhost_tls
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    text = bench.connection_string("dev", "A" * 43 + "=", port=port)
    async with (
        server,
        bench.program(name, connection_string=text, ca=ca, options=SHORT) as program,
    ):
        return await program.expect_any("connected", "sent", "raised")


EVENTS = "/devices/dev/messages/events"


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
def test_silence_while_connecting(bench, localhost_tls, silent, stage):
    async def scenario():
        said = await outcome(bench, localhost_tls, Scripted(silent))
        if silent in ("header", "second header"):  # what follows is no header
            assert said[:2] == ["raised", "ProtocolError"]
        elif silent == "open":
            assert said[0] in ("connected", "raised")
        else:
            assert said[:3] == ["raised", "OperationTimeout", stage]

    bench.run(scenario)


@pytest.mark.parametrize("silent", ["credit " + EVENTS, "disposition"])
def test_silence_after_that_ends_the_connection(bench, localhost_tls, silent):
    async def scenario():
        said = await outcome(bench, localhost_tls, Scripted(silent), "telemetry")
        assert said[:3] == ["raised", "OperationTimeout", "disposition"]

    bench.run(scenario)


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
def test_nonsense_while_connecting(bench, localhost_tls, wrong, error):
    async def scenario():
        said = await outcome(bench, localhost_tls, Scripted(wrong=wrong))
        assert said[:3] == ["raised", *error]

    bench.run(scenario)


def redirect(port):
    """A detach of the telemetry link, which says that the events are taken elsewhere."""
    info = {"hostname": "localhost", "network-host": "localhost", "port": port}
    error = Composite(ERROR, condition="amqp:link:redirect", description="there", info=info)
    return end(DETACH, handle=2, closed=True, error=error)


def refused_attach():
    return end(
        ATTACH, name="2" + EVENTS, handle=2, role=True, source=None, target=None,
        initial_delivery_count=None,
    )  # fmt: skip


def test_redirect_to_a_dead_address(bench, localhost_tls):
    async def scenario():
        wrong = {"attach " + EVENTS: refused_attach() + redirect(1)}
        said = await outcome(bench, localhost_tls, Scripted(wrong=wrong))
        assert said[:3] == ["raised", "ConnectionFailedError", "tcp"]

    bench.run(scenario)


def test_redirect_is_followed(bench, localhost_tls):
    async def scenario():
        context, _ = localhost_tls
        there = await asyncio.start_server(Scripted().serve, "127.0.0.1", 0, ssl=context)
        port = there.sockets[0].getsockname()[1]
        wrong = {"attach " + EVENTS: refused_attach() + redirect(port)}
        async with there:
            said = await outcome(bench, localhost_tls, Scripted(wrong=wrong), "telemetry")
        assert said == ["sent"]

    bench.run(scenario)


def test_redirects_in_a_circle_end(bench, localhost_tls):
    async def scenario():
        context, _ = localhost_tls
        round_again = Scripted(wrong={})
        there = await asyncio.start_server(round_again.serve, "127.0.0.1", 0, ssl=context)
        port = there.sockets[0].getsockname()[1]
        circle = {"attach " + EVENTS: refused_attach() + redirect(port)}
        round_again._wrong = circle
        async with there:
            said = await outcome(bench, localhost_tls, Scripted(wrong=circle))
        assert said[:2] == ["raised", "ServiceError"]
        assert said[3] == "amqp:link:redirect"

    bench.run(scenario)


def test_telemetry_that_is_settled(bench, localhost_tls):
    async def scenario():
        said = await outcome(bench, localhost_tls, Scripted(), "telemetry")
        assert said == ["sent"]

    bench.run(scenario)
