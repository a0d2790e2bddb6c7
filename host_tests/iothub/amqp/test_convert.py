"""iothub.amqp.convert: a Message to and from AMQP's."""

from host_tests.support.raises import raises
from iothub.amqp.codec import Typed
from iothub.amqp.convert import message_from, message_to
from iothub.amqp.sections import AmqpMessage, decode_message
from iothub.messages import AMQP_ONLY, Message


class Moment:
    def isoformat(self):
        return "2030-01-02T03:04:05+00:00"


def sent(message):
    """A Message as the hub gets it: an AmqpMessage."""
    return decode_message(message_to(message).encode())


def test_every_attribute_goes_there_and_comes_back():
    message = Message(b"x", "m", "utf-8", "application/json", "out")
    values = {
        "correlation_id": "c", "user_id": "ü", "to": "there", "subject": "s", "reply_to": "r",
        "group_id": "g", "group_sequence": 7, "reply_to_group_id": "rg",
        "absolute_expiry_time": 1893553445000, "creation_time": 1700000000000, "ack": "full",
        "creation_time_utc": "2020-01-01T00:00:00Z", "iothub_interface_id": "i",
    }  # fmt: skip
    for name, value in values.items():
        setattr(message, name, value)
    message.custom_properties = {"own": "é"}
    back = message_from(sent(message))
    for name, value in values.items():
        assert getattr(back, name) == value, name
    assert (back.message_id, back.content_type) == ("m", "application/json")
    assert (back.content_encoding, back.output_name) == ("utf-8", "out")
    assert back.custom_properties == {"own": "é"}


def test_expiry_time_is_the_absolute_expiry_time():
    for moment in ("2030-01-02T03:04:05Z", Moment()):
        message = Message("x")
        message.expiry_time_utc = moment
        amqp = sent(message)
        assert amqp.properties.absolute_expiry_time == 1893553445000
        assert amqp.application == {}
        assert message_from(amqp).expiry_time_utc == "2030-01-02T03:04:05.000Z"
    message.absolute_expiry_time = 5
    assert sent(message).properties.absolute_expiry_time == 5
    message = Message("x")
    message.expiry_time_utc = "soon"
    assert "expiry_time_utc" in str(raises(ValueError, message_to, message))


def test_creation_time_may_be_a_datetime():
    message = Message("x")
    message.creation_time_utc = Moment()
    assert sent(message).annotations == {"iothub-creation-time-utc": "2030-01-02T03:04:05+00:00"}


def test_message_that_says_nothing_has_every_attribute():
    message = message_from(AmqpMessage(b"x"))
    for name in AMQP_ONLY + ("to", "user_id", "ack", "expiry_time_utc", "input_name"):
        assert getattr(message, name) is None, name
    assert message.annotations == {}


def test_user_id_is_text_if_it_is_utf8():
    for raw, value in (("ü".encode(), "ü"), (b"\xff", b"\xff")):
        assert message_from(AmqpMessage(b"", user_id=raw)).user_id == value


def test_ids_of_other_types():
    uuid = Typed("uuid", bytes(range(16)))
    message = message_from(AmqpMessage(b"", message_id=uuid, correlation_id=7))
    assert message.message_id == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert message.correlation_id == 7
