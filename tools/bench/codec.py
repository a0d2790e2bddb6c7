"""AMQP's codec beside those of uamqp (in C) and azure-eventhub (in Python), on CPython.

The message is telemetry as a device sends it: 100 bytes, a message id, three properties.
"""

import time

from .rows import OURS, Row

SECONDS = 0.5
BODY = b"x" * 100
PROPERTIES = {"temperature": "21.5", "alarm": "no", "näme": "grün"}
MESSAGE_ID = "0123456789abcdef"


def ours():
    """(encode, decode) of this project's."""
    from iothub.amqp.sections import AmqpMessage, decode_message

    def encode():
        message = AmqpMessage(BODY, message_id=MESSAGE_ID)
        message.application = PROPERTIES
        return message.encode()

    return encode, decode_message


def azure_eventhub():
    """(encode, decode) of azure-eventhub's."""
    from azure.eventhub._pyamqp._decode import decode_payload
    from azure.eventhub._pyamqp._encode import encode_payload
    from azure.eventhub._pyamqp.message import Message, Properties

    def encode():
        out = bytearray()
        properties = Properties(message_id=MESSAGE_ID)
        encode_payload(
            out, Message(data=[BODY], properties=properties, application_properties=PROPERTIES)
        )
        return bytes(out)

    return encode, lambda data: decode_payload(memoryview(data))


def uamqp():
    """(encode, decode) of uamqp's."""
    from uamqp import Message
    from uamqp.message import MessageProperties

    def encode():
        properties = MessageProperties(message_id=MESSAGE_ID)
        return Message(
            BODY, properties=properties, application_properties=PROPERTIES
        ).encode_message()

    def decode(data):
        message = Message.decode_from_bytes(data)
        return b"".join(message.get_data()), message.application_properties

    return encode, decode


CODECS = {OURS: ours, "azure-eventhub": azure_eventhub, "uamqp": uamqp}


def rate(function, seconds, *arguments):
    """Calls a second."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        for _ in range(100):
            function(*arguments)
        count += 100
    return count / passed


async def measure(rounds, quick=False):
    """Rows of messages a second; a codec that is not installed is left out."""
    encoded, decoded = {}, {}
    for _ in range(rounds):
        for name, make in CODECS.items():
            try:
                encode, decode = make()
            except ImportError:
                continue
            data = encode()
            encoded.setdefault(name, []).append(rate(encode, SECONDS))
            decoded.setdefault(name, []).append(rate(decode, SECONDS, data))
    return [
        Row("AMQP, encode", "messages a second", encoded),
        Row("AMQP, decode", "messages a second", decoded),
    ]
