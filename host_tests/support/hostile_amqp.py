"""AMQP frames that a hub may send, for mutation."""

from iothub.amqp.codec import Described, Typed, encode
from iothub.amqp.composites import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    ERROR,
    FLOW,
    MECHANISMS,
    OPEN,
    OUTCOME,
    PROPERTIES,
    SOURCE,
    TARGET,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, HEARTBEAT, SASL, SASL_HEADER, frame
from iothub.amqp.sections import SEQUENCE, VALUE, AmqpMessage

LIMIT = 3000  # what the sessions here take, at most


def message(body, kind, **properties):
    made = AmqpMessage(body, kind, **properties)
    made.annotations = {"status": Typed("int", 200), "version": 3, "x-opt-input-name": "i"}
    made.application = {"IoThub-methodname": "reboot", "none": None, "n": 1.5}
    return made.encode()


MESSAGES = (
    message(b"hello", 0x75, message_id="m", correlation_id=Typed("uuid", b"0" * 16)),
    message(b'{"a":1}', 0x75, correlation_id="twin-1", user_id=b"u", content_type="a/b"),
    message({"a": [1]}, VALUE),
    message([[1], [2]], SEQUENCE),
    encode(Described(PROPERTIES, [1, b"u", "to"])),
)


def of(descriptor, *payload, kind=0, **fields):
    return bytes(frame(0, Composite(descriptor, **fields), *payload, kind=kind))


def attach(name, handle, role):
    return of(
        ATTACH, name=name, handle=handle, role=role, initial_delivery_count=0,
        source=Composite(SOURCE, address="a"), target=Composite(TARGET, address="b"),
    )  # fmt: skip


BEGUN = of(BEGIN, remote_channel=0, next_outgoing_id=0, incoming_window=9, outgoing_window=9)
OPENED = AMQP_HEADER + of(OPEN, container_id="h", idle_time_out=4000) + BEGUN
WINDOW = {"next_incoming_id": 0, "incoming_window": 99, "next_outgoing_id": 0}
FRAMES = (
    BEGUN,
    attach("0out", 0, True),
    attach("1in", 1, False),
    of(FLOW, handle=0, delivery_count=0, link_credit=100, outgoing_window=9, **WINDOW),
    of(FLOW, outgoing_window=9, echo=True, **WINDOW),
    of(TRANSFER, MESSAGES[0], handle=1, delivery_id=0, delivery_tag=b"t"),
    of(TRANSFER, MESSAGES[1][:30], handle=1, delivery_id=1, delivery_tag=b"u", more=True),
    of(TRANSFER, MESSAGES[1][30:], handle=1),
    of(TRANSFER, b"z" * 2000, handle=1, delivery_id=2, delivery_tag=b"v", more=True),
    of(DISPOSITION, role=True, first=0, last=9, settled=True, state=Composite(ACCEPTED)),
    of(DETACH, handle=1, closed=True, error=Composite(ERROR, condition="amqp:internal-error")),
    of(CLOSE),
    of(OUTCOME, code=0, kind=SASL),
    of(OUTCOME, code=0),
    of(MECHANISMS, sasl_server_mechanisms=["ANONYMOUS", "PLAIN"], kind=SASL),
    of(MECHANISMS, sasl_server_mechanisms="PLAIN"),
    HEARTBEAT,
    SASL_HEADER,
    AMQP_HEADER,
)
