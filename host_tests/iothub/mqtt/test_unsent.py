"""iothub.mqtt.unsent: attributes of a Message that cannot be sent are reported, each once."""

from iothub.messages import AMQP_ONLY, Message
from iothub.mqtt.unsent import UnsentAttributeError, report_unsent


def test_each_attribute_is_reported_once():
    told = []
    message = Message("x")
    message.subject, message.group_sequence = "s", 0
    left = report_unsent(AMQP_ONLY, message, told.append)
    assert [error.name for error in told] == ["subject", "group_sequence"]
    assert left == [name for name in AMQP_ONLY if name not in ("subject", "group_sequence")]
    message.creation_time = 5
    left = report_unsent(left, message, told.append)
    assert [error.name for error in told[2:]] == ["creation_time"]
    assert report_unsent(left, message, told.append) == left
    assert len(told) == 3


def test_report_says_what_is_wrong():
    error = UnsentAttributeError("subject")
    assert error.stage == "message"
    assert str(error) == "message: subject is not sent: neither MQTT nor an outbox has room for it"
    assert isinstance(error, ValueError)
