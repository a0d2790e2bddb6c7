"""iothub.mqtt.topics: topics and property bags, written and parsed."""

from host_tests.support.raises import raises
from iothub.messages import Message
from iothub.mqtt import topics


def test_property_bag_with_null_empty_and_value():
    bag = topics.encode_properties([("prop1", None), ("prop2", ""), ("prop3", "a string")])
    assert bag == "prop1&prop2=&prop3=a%20string"


def test_property_bag_is_decoded_with_and_without_a_leading_question_mark():
    expected = {"prop1": None, "prop2": "", "prop3": "a string"}
    for lead in ("/?", "?", ""):
        assert topics.decode_properties(lead + "prop1&prop2=&prop3=a%20string") == expected


def test_property_names_and_values_are_any_text():
    properties = {"näme": "漢 字", "a=b": "c&d", "%": "+", "$.x": "?"}
    assert topics.decode_properties(topics.encode_properties(properties)) == properties


def test_property_values_of_other_types_are_written_as_text():
    assert topics.encode_properties([("n", 5), ("b", True)]) == "n=5&b=True"


def test_empty_property_bag():
    assert topics.encode_properties({}) == ""
    assert topics.decode_properties("") == {}
    assert topics.decode_properties("/?") == {}


def test_property_value_with_an_equals_sign():
    assert topics.decode_properties("a=b=c") == {"a": "b=c"}


def test_property_bag_that_is_not_utf8_is_an_error():
    raises(ValueError, topics.decode_properties, "a=%ff")


def test_topics_of_devices_and_modules():
    assert topics.events("d") == "devices/d/messages/events/"
    assert topics.events("d", "m") == "devices/d/modules/m/messages/events/"
    assert topics.messages_filter("d") == "devices/d/messages/devicebound/#"
    assert topics.messages_filter("d", "m") == "devices/d/modules/m/#"


def test_message_topic():
    own = topics.identity("d")
    assert topics.parse_message("devices/d/messages/devicebound/a=b", own) == (None, "a=b")
    assert topics.parse_message("devices/d/messages/devicebound/", own) == (None, "")
    assert topics.parse_message("devices/d/messages/devicebound", own) == (None, "")


def test_message_topic_of_another_device_is_refused():
    own = topics.identity("d")
    for topic in (
        "devices/dd/messages/devicebound/",
        "devices/d/messages/deviceboundary/",
        "devices/d/messages/events/",
        "x/devices/d/messages/devicebound/",
        "",
    ):
        assert topics.parse_message(topic, own) is None


def test_input_of_a_module():
    own = topics.identity("d", "m")
    topic = "devices/d/modules/m/inputs/in%201/a=b"
    assert topics.parse_message(topic, own) == ("in 1", "a=b")


def test_outgoing_message():
    message = Message("x", "m/1", "utf-8", "application/json", "out")
    message.correlation_id = "c"
    message.custom_properties = {"own": "é"}
    bag = bytes(topics.telemetry(b"t/", message)).decode()
    assert bag.startswith("t/")
    assert topics.decode_properties(bag[2:]) == {
        "$.mid": "m/1",
        "$.cid": "c",
        "$.ct": "application/json",
        "$.ce": "utf-8",
        "$.on": "out",
        "own": "é",
    }
    assert bag.endswith("&own=%C3%A9")


def test_message_without_properties_has_the_plain_topic():
    events = b"devices/d/messages/events/"
    assert topics.telemetry(events, Message("x")) is events


def test_incoming_message():
    message = Message(b"")
    topics.decode_message(
        "%24.to=%2Fdevices%2Fd&%24.mid=m&$.cid=c&%24.exp=2030&iothub-ack=full&k&e=&v=w", message
    )
    assert message.message_id == "m"
    assert message.correlation_id == "c"
    assert message.expiry_time_utc == "2030"
    assert message.ack == "full"
    assert message.custom_properties == {"k": None, "e": "", "v": "w"}


def test_twin_requests():
    assert topics.twin_get("1a") == "$iothub/twin/GET/?$rid=1a"
    assert topics.twin_patch("1a") == "$iothub/twin/PATCH/properties/reported/?$rid=1a"


def test_twin_answers():
    assert topics.parse_twin_answer("$iothub/twin/res/200/?$rid=1a") == (200, "1a", None)
    answer = "$iothub/twin/res/204/?$rid=x%20y&$version=7"
    assert topics.parse_twin_answer(answer) == (204, "x y", 7)
    assert topics.parse_twin_answer("a/$iothub/twin/res/200/?$rid=1") is None
    assert topics.parse_twin_answer("$iothub/twin/resolve") is None
    raises(ValueError, topics.parse_twin_answer, "$iothub/twin/res/ok/?$rid=1")
    raises(ValueError, topics.parse_twin_answer, "$iothub/twin/res/204/?$rid=1&$version=x")


def test_desired_patch():
    assert topics.parse_desired("$iothub/twin/PATCH/properties/desired/?$version=12") == 12
    assert topics.parse_desired("$iothub/twin/PATCH/properties/desired/") == -1
    assert topics.parse_desired("$iothub/twin/PATCH/properties/reported/?$version=1") is None


def test_method_request_id_is_kept_unchanged():
    topic = "$iothub/methods/POST/do%20it/?$rid=a%2Fb%20C"
    name, rid = topics.parse_method(topic)
    assert (name, rid) == ("do it", "a%2Fb%20C")
    assert topics.method_answer(rid, 200) == "$iothub/methods/res/200/?$rid=a%2Fb%20C"
    assert topics.parse_method("$iothub/methods/POST/m/?x=1&%24rid=2") == ("m", "2")


def test_method_topic_is_matched_at_its_start():
    assert topics.parse_method("devices/d/$iothub/methods/POST/m/?$rid=1") is None
    raises(ValueError, topics.parse_method, "$iothub/methods/POST/m/")
    raises(ValueError, topics.parse_method, "$iothub/methods/POST/m/?$rid=")


def test_method_status_is_an_integer():
    raises(ValueError, topics.method_answer, "1", "ok")
