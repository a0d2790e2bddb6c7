"""iothub.mqtt.topics: topics and property bags, written and parsed."""

from host_tests.support.raises import raises
from iothub.mqtt import topics


def test_filters_of_the_features():
    device, module = "devices/d/", "devices/d/modules/m/"
    assert topics.filter_of("messages", device) == ("devices/d/messages/devicebound/#", 1)
    assert topics.filter_of("messages", module) == ("devices/d/modules/m/#", 1)
    for own in (device, module):
        assert topics.filter_of("methods", own) == ("$iothub/methods/POST/#", 0)
        assert topics.filter_of("twin", own) == ("$iothub/twin/res/#", 0)
        desired = "$iothub/twin/PATCH/properties/desired/#", 0
        assert topics.filter_of("desired", own) == desired


def test_message_topic():
    own = "devices/d/"
    assert topics.parse_message("devices/d/messages/devicebound/a=b", own) == (None, "a=b")
    assert topics.parse_message("devices/d/messages/devicebound/", own) == (None, "")
    assert topics.parse_message("devices/d/messages/devicebound", own) == (None, "")


def test_message_topic_of_another_device_is_refused():
    own = "devices/d/"
    for topic in (
        "devices/dd/messages/devicebound/",
        "devices/d/messages/deviceboundary/",
        "devices/d/messages/events/",
        "x/devices/d/messages/devicebound/",
        "",
    ):
        assert topics.parse_message(topic, own) is None


def test_input_of_a_module():
    own = "devices/d/modules/m/"
    topic = "devices/d/modules/m/inputs/in%201/a=b"
    assert topics.parse_message(topic, own) == ("in 1", "a=b")


def test_twin_requests():
    assert topics.twin_request("1a") == "$iothub/twin/GET/?$rid=1a"
    assert topics.twin_request("1a", b"{}") == "$iothub/twin/PATCH/properties/reported/?$rid=1a"


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
