"""iothub.mqtt.topics: topics and property bags, written and parsed."""

from host_tests.support.raises import raises
from iothub.mqtt import topics

OWN = "devices/d/"


def parse(topic):
    return topics.parse(topic, OWN)


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
    assert topics.parse("devices/d/messages/devicebound/a=b", own) == ("message", None, "a=b")
    assert topics.parse("devices/d/messages/devicebound/", own) == ("message", None, "")
    assert topics.parse("devices/d/messages/devicebound", own) == ("message", None, "")


def test_message_topic_of_another_device_is_refused():
    own = "devices/d/"
    for topic in (
        "devices/dd/messages/devicebound/",
        "devices/d/messages/deviceboundary/",
        "devices/d/messages/events/",
        "x/devices/d/messages/devicebound/",
        "",
    ):
        assert topics.parse(topic, own) is None


def test_input_of_a_module():
    own = "devices/d/modules/m/"
    topic = "devices/d/modules/m/inputs/in%201/a=b"
    assert topics.parse(topic, own) == ("message", "in 1", "a=b")


def test_twin_requests():
    assert topics.twin_request("1a") == "$iothub/twin/GET/?$rid=1a"
    assert topics.twin_request("1a", b"{}") == "$iothub/twin/PATCH/properties/reported/?$rid=1a"


def test_twin_answers():
    assert parse("$iothub/twin/res/200/?$rid=1a") == ("twin", 200, "1a", None)
    answer = "$iothub/twin/res/204/?$rid=x%20y&$version=7"
    assert parse(answer) == ("twin", 204, "x y", 7)
    assert parse("a/$iothub/twin/res/200/?$rid=1") is None
    assert parse("$iothub/twin/resolve") is None
    raises(ValueError, parse, "$iothub/twin/res/ok/?$rid=1")
    raises(ValueError, parse, "$iothub/twin/res/204/?$rid=1&$version=x")


def test_desired_patch():
    assert parse("$iothub/twin/PATCH/properties/desired/?$version=12") == ("desired", 12)
    assert parse("$iothub/twin/PATCH/properties/desired/") == ("desired", None)
    assert parse("$iothub/twin/PATCH/properties/reported/?$version=1") is None


def test_method_request_id_is_kept_unchanged():
    topic = "$iothub/methods/POST/do%20it/?$rid=a%2Fb%20C"
    kind, name, rid = parse(topic)
    assert (kind, name, rid) == ("method", "do it", "a%2Fb%20C")
    assert topics.method_answer(rid, 200) == "$iothub/methods/res/200/?$rid=a%2Fb%20C"
    assert parse("$iothub/methods/POST/m/?x=1&%24rid=2") == ("method", "m", "2")


def test_method_topic_is_matched_at_its_start():
    assert parse("devices/d/$iothub/methods/POST/m/?$rid=1") is None
    raises(ValueError, parse, "$iothub/methods/POST/m/")
    raises(ValueError, parse, "$iothub/methods/POST/m/?$rid=")


def test_method_status_is_an_integer():
    raises(ValueError, topics.method_answer, "1", "ok")
