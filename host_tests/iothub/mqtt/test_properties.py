from host_tests.support.raises import raises
from iothub.messages import Message
from iothub.mqtt.properties import (
    decode_message,
    decode_properties,
    encode_properties,
    telemetry_topic,
    write_property,
)


def test_bag_forms_of_null_empty_and_value():
    bag = encode_properties([("prop1", None), ("prop2", ""), ("prop3", "a string")])
    assert bag == "prop1&prop2=&prop3=a%20string"


def test_bag_of_the_contract_is_decoded_with_and_without_its_lead():
    expected = {"prop1": None, "prop2": "", "prop3": "a string"}
    for lead in ("/?", "?", ""):
        assert decode_properties(lead + "prop1&prop2=&prop3=a%20string") == expected


def test_names_and_values_of_any_text():
    properties = {"näme": "漢 字", "a=b": "c&d", "%": "+", "$.x": "?"}
    assert decode_properties(encode_properties(properties)) == properties


def test_values_that_are_no_text_are_written_as_text():
    assert encode_properties([("n", 5), ("b", True)]) == "n=5&b=True"


def test_bytes_are_written_as_the_text_that_they_are():
    assert encode_properties({"a": "ü".encode()}) == "a=%C3%BC"
    raises(ValueError, encode_properties, {"a": b"\xff"})  # the hub would hang up, again and again


def test_empty_bag():
    assert encode_properties({}) == ""
    assert decode_properties("") == {}
    assert decode_properties("/?") == {}


def test_value_with_an_equals_sign():
    assert decode_properties("a=b=c") == {"a": "b=c"}


def test_bag_that_is_not_utf8():
    raises(ValueError, decode_properties, "a=%ff")


def test_property_is_appended_behind_an_ampersand_unless_the_bag_is_empty():
    out = bytearray(b"topic/")
    write_property(out, 6, "a", "1 2")
    write_property(out, 6, "b", None)
    assert bytes(out) == b"topic/a=1%202&b"


def test_outgoing_message():
    message = Message("x", "m/1", "utf-8", "application/json", "out")
    message.correlation_id = "c"
    message.user_id = b"me"  # as it came over AMQP
    message.to, message.ack = "there", "full"
    message.expiry_time_utc = "2030-01-02T03:04:05Z"
    message.custom_properties = {"own": "é"}
    bag = bytes(telemetry_topic(b"t/", message)).decode()
    assert bag.startswith("t/")
    assert decode_properties(bag[2:]) == {
        "$.mid": "m/1",
        "$.cid": "c",
        "$.uid": "me",
        "$.to": "there",
        "iothub-ack": "full",
        "$.exp": "2030-01-02T03:04:05Z",
        "$.ct": "application/json",
        "$.ce": "utf-8",
        "$.on": "out",
        "own": "é",
    }
    assert bag.endswith("&own=%C3%A9")


SYSTEM = (
    ("$.mid", "message_id"), ("$.cid", "correlation_id"), ("$.uid", "user_id"), ("$.to", "to"),
    ("$.ct", "content_type"), ("$.ce", "content_encoding"), ("$.on", "output_name"),
    ("$.exp", "expiry_time_utc"), ("$.ctime", "creation_time_utc"),
    ("$.ifid", "iothub_interface_id"), ("iothub-ack", "ack"),
)  # fmt: skip


def test_each_attribute_is_sent_alone_too():
    for name, attribute in SYSTEM:
        message = Message("x")
        setattr(message, attribute, "v")
        assert decode_properties(bytes(telemetry_topic(b"", message)).decode()) == {name: "v"}


def test_message_without_properties_has_the_topic_itself():
    events = b"devices/d/messages/events/"
    assert telemetry_topic(events, Message("x")) is events


def test_incoming_message():
    message = Message(b"")
    decode_message(
        "%24.to=%2Fdevices%2Fd&%24.mid=m&$.cid=c&%24.exp=2030&iothub-ack=full&k&e=&v=w", message
    )
    assert message.message_id == "m"
    assert message.correlation_id == "c"
    assert message.expiry_time_utc == "2030"
    assert message.ack == "full"
    assert message.to == "/devices/d"
    assert message.custom_properties == {"k": None, "e": "", "v": "w"}
