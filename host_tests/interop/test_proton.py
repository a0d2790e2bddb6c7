"""AMQP against Qpid Proton: its encoding of every type, and a broker for both clients."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tests.support.amqp_peer import open_peer
from host_tests.support.amqp_strategies import CHARACTERS, NUMBERS, UUIDS, arrays, integers, typed
from iothub import IoTHubDeviceClient, Message
from iothub.amqp.codec import Described, Typed
from iothub.amqp.sections import VALUE, AmqpMessage, decode_message
from iothub_service.client import IoTHubServiceClient

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]
PATIENCE = 30
EVENTS, MESSAGES = "/devices/dev/messages/events", "/devices/dev/messages/devicebound"


text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=300)
symbols = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=300)
KINDS = {**NUMBERS, "char": CHARACTERS, "symbol": symbols, "uuid": UUIDS}
scalars = st.one_of(
    st.booleans(),
    integers(64, True),
    st.floats(allow_nan=False),
    text,
    st.binary(max_size=300),
    typed(KINDS),
)
values = st.recursive(
    st.one_of(
        scalars,
        arrays(
            {kind: KINDS[kind] for kind in ("int", "uint", "symbol", "ulong")},
            min_size=1,
            max_size=5,
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(text, inner, max_size=5),
        st.builds(Described, symbols, scalars),
    ),
    max_leaves=15,
)
patient = settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])


@patient
@given(values)
def test_values_are_exchanged_with_proton(proton_echo, value):
    # In a list: Proton wraps a described body once more.
    message = AmqpMessage([value], VALUE)
    assert decode_message(proton_echo(message.encode()), exact=True).body == [value]


@patient
@given(st.binary(max_size=400), st.dictionaries(text, scalars, max_size=4), text, symbols)
def test_messages_are_exchanged_with_proton(proton_echo, body, application, message_id, kind):
    message = AmqpMessage(
        body, message_id=message_id, content_type=kind, subject=message_id,
        creation_time=5, group_sequence=7, user_id=b"me", correlation_id=9,
    )  # fmt: skip
    message.application = application
    message.annotations = {"x-opt-a": Typed("uint", 5)}
    back = decode_message(proton_echo(message.encode()), exact=True)
    assert back.body == body
    assert back.application == application
    assert back.annotations == message.annotations
    for name in ("message_id", "subject", "creation_time", "group_sequence", "correlation_id"):
        assert getattr(back.properties, name) == getattr(message.properties, name), name


class Service(IoTHubServiceClient):
    """The service client without a token: the broker has no $cbs."""

    def _sign(self, expiry):
        return None


def device(broker, **options):
    """A device client without a token: the broker has no $cbs."""
    port, ca, _ = broker
    return IoTHubDeviceClient.create_from_connection_string(
        f"HostName=localhost:{port};DeviceId=dev;x509=true",
        transport="amqp", server_verification_cert=ca, max_inbound=1 << 20, **options,
    )  # fmt: skip


async def connected_peer(broker):
    """An AmqpPeer in a session with the broker."""
    port, ca, _ = broker
    peer = await open_peer(port, ca)
    assert await peer.sasl("ANONYMOUS") == 0
    await peer.open()
    await peer.begin()
    return peer


def service(broker):
    port, ca, _ = broker
    text = f"HostName=localhost:{port};SharedAccessKeyName=x;SharedAccessKey=AAAA"
    return Service.create_from_connection_string(text, server_verification_cert=ca)


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_device_client_works_with_proton(proton_broker):
    async def scenario():
        client, got = device(proton_broker), asyncio.Queue()
        _, _, broker = proton_broker

        def on_message(message):
            if message.message_id == "unwanted":
                message.reject()
            got.put_nowait(message)

        client.on_message_received = on_message
        await client.connect()
        try:
            message = Message("é" * 10, message_id="m")
            message.custom_properties = {"a": "b", "n": 5}
            await client.send_message(message)
            assert broker.expect("message") == f"message {EVENTS} {{'a': 'b', 'n': 5}}"
            await asyncio.gather(*(client.send_message(Message("x" * 50000)) for _ in range(10)))
            for _ in range(10):
                broker.expect("message")
            peer = await connected_peer(proton_broker)
            handle = await peer.sender(MESSAGES)
            for message_id, body in (("one", b"1"), ("unwanted", b""), ("large", b"z" * 300000)):
                back = AmqpMessage(body, message_id=message_id)
                peer.transfer(handle, back.encode(), settled=True)
                message = await asyncio.wait_for(got.get(), PATIENCE)
                assert (message.message_id, message.data) == (message_id, body)
                outcome = "rejected" if message_id == "unwanted" else "accepted"
                assert broker.expect(outcome) == f"{outcome} {MESSAGES} {message_id}"
        finally:
            await client.shutdown()

    run(scenario)


def test_service_client_works_with_proton(proton_broker):
    async def scenario():
        client, _, broker = service(proton_broker), *proton_broker[1:]
        try:
            message = Message("hello", message_id="c2d")
            await client.send_c2d_message("dev", message, ack="full")
            expected = "message /messages/devicebound {'iothub-ack': 'full'}"
            assert broker.expect("message") == expected
            for _ in range(3):
                await client.send_c2d_message("dev", Message("x" * 65536))
                broker.expect("message")
        finally:
            await client.close()

    run(scenario)
