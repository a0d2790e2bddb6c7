"""iothub.messages: Message, MethodRequest, MethodResponse."""

from host_tests.support.raises import raises
from iothub.messages import AMQP_ONLY, Message


def test_body_as_bytes():
    assert Message("é").payload() == b"\xc3\xa9"
    assert Message(b"\x00").payload() == b"\x00"
    assert Message(bytearray(b"ab")).payload() == b"ab"
    assert Message(None).payload() == b""
    assert Message("").payload() == b""


def test_body_of_another_type_is_refused():
    for data in ({"a": 1}, 5, ["x"]):
        assert type(data).__name__ in str(raises(TypeError, Message(data).payload))


def test_constructor_has_the_order_of_azure_iot_device():
    message = Message("d", "id", "utf-8", "text/plain", "out")
    assert message.message_id == "id"
    assert message.content_encoding == "utf-8"
    assert message.content_type == "text/plain"
    assert message.output_name == "out"
    assert message.custom_properties == {}


def test_attributes_that_are_not_set_are_none():
    message = Message("d")
    for name in AMQP_ONLY + (
        "message_id", "correlation_id", "user_id", "content_type", "content_encoding", "to",
        "expiry_time_utc", "creation_time_utc", "output_name", "input_name", "ack",
        "iothub_interface_id", "annotations", "delivery_count",
    ):  # fmt: skip
        assert getattr(message, name) is None, name
    raises(AttributeError, getattr, message, "subjekt")


def test_messages_do_not_share_their_properties():
    first = Message("a")
    first.custom_properties["x"] = "1"
    assert Message("b").custom_properties == {}
