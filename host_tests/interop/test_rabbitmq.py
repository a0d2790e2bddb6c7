"""AMQP against RabbitMQ: send, receive, settle, messages of many frames, reconnect."""

import asyncio

import pytest

from iothub.amqp.composites import ACCEPTED, REJECTED, RELEASED
from iothub.amqp.sections import AmqpMessage, decode_message
from iothub.dispatcher import Dispatcher
from iothub.errors import CredentialError
from iothub.options import checked
from iothub.pending import Delivery
from iothub_service.connection import Endpoint, Inbox, ServiceConnection

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]
PATIENCE = 30


class Sending(Endpoint):
    def __init__(self, address):
        self._address = address
        self._outcomes = {}  # Delivery: future of its outcome's descriptor

    def attach(self, connection):
        self.link = connection.protocol.sender(self, self._address)
        return [self.link]

    async def send(self, message):
        """Send a message: the descriptor of its outcome."""
        delivery = Delivery(*message.parts_to_send())
        self._outcomes[delivery] = asyncio.get_running_loop().create_future()
        self.link.send(delivery)
        return await asyncio.wait_for(self._outcomes[delivery], PATIENCE)

    def on_settled(self, delivery, state):
        self._outcomes.pop(delivery).set_result(state.descriptor)


class Receiving(Inbox):
    def __init__(self, address):
        super().__init__()
        self._address = address

    def attach(self, connection):
        self.link = connection.protocol.receiver(self, self._address, credit=4)
        return [self.link]

    def on_message(self, receiver, number, payload):
        self.put((number, decode_message(payload)))

    async def next(self, outcome=ACCEPTED):
        """The next message, settled with `outcome`."""
        number, message = await asyncio.wait_for(anext(self), PATIENCE)
        self.link.settle(number, outcome)
        self.link.grant()
        return message


def run(rabbitmq, scenario, user="guest", max_inbound=1 << 22):
    """Run scenario(connection), a ServiceConnection to the broker."""
    port, ca = rabbitmq
    options = checked(
        {"server_verification_cert": ca, "sasl": "plain", "max_inbound": max_inbound}
    )
    problems = []

    async def main():
        dispatcher = Dispatcher(options)
        dispatcher.handlers["on_background_exception"] = problems.append
        connection = ServiceConnection(
            options, ("localhost", port), "interop", lambda expiry: ("guest", "", user), dispatcher
        )
        try:
            await scenario(connection)
        finally:
            await connection.shutdown()
        assert not problems

    asyncio.run(asyncio.wait_for(main(), 120))


async def both(connection, queue):
    sending, receiving = Sending(f"/queue/{queue}"), Receiving(f"/queue/{queue}")
    await connection.add(sending)
    await connection.add(receiving)
    return sending, receiving


def test_send_receive_and_settle(rabbitmq):
    async def scenario(connection):
        sending, receiving = await both(connection, "simple")
        for number in range(20):
            message = AmqpMessage(b"body %d" % number, message_id=f"m{number}", subject="é")
            message.application = {"number": number, "yes": True, "text": "grün", "none": None}
            assert await sending.send(message) == ACCEPTED
            got = await receiving.next()
            assert got.body == message.body
            assert got.properties.message_id == f"m{number}"
            assert got.properties.subject == "é"
            assert got.application["text"] == "grün"
            assert got.application["number"] == number

    run(rabbitmq, scenario)


def test_outcomes(rabbitmq):
    async def scenario(connection):
        sending, receiving = await both(connection, "outcomes")
        await sending.send(AmqpMessage(b"first"))
        assert (await receiving.next(RELEASED)).body == b"first"
        assert (await receiving.next(REJECTED)).body == b"first"
        await sending.send(AmqpMessage(b"second"))
        assert (await receiving.next()).body == b"second"

    run(rabbitmq, scenario)


@pytest.mark.parametrize("size", [15000, 17000, 300000, 2000000])
def test_messages_of_many_frames(rabbitmq, size):
    async def scenario(connection):
        sending, receiving = await both(connection, f"large-{size}")
        body = bytes(range(251)) * (size // 251)
        assert await sending.send(AmqpMessage(body)) == ACCEPTED
        assert (await receiving.next()).body == body

    run(rabbitmq, scenario)


def test_many_messages_at_once(rabbitmq):
    async def scenario(connection):
        sending, receiving = await both(connection, "many")
        sends = [sending.send(AmqpMessage(b"%d" % number)) for number in range(500)]
        outcomes = asyncio.gather(*sends)
        for number in range(500):
            assert (await receiving.next()).body == b"%d" % number
        assert set(await outcomes) == {ACCEPTED}

    run(rabbitmq, scenario)


def test_wrong_password(rabbitmq):
    async def scenario(connection):
        with pytest.raises(CredentialError) as caught:
            await connection.ready()
        assert caught.value.stage == "sasl"

    run(rabbitmq, scenario, user="nobody")
