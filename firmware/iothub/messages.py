"""Message: telemetry and cloud-to-device messages, with the attributes of azure.iot.device."""

# AMQP's own attributes. A property bag has no room for them: neither MQTT nor an outbox has.
AMQP_ONLY = (
    "subject", "reply_to", "group_id", "group_sequence", "reply_to_group_id",
    "absolute_expiry_time", "creation_time",
)  # fmt: skip


class Message:
    """A telemetry or cloud-to-device message.

    data: str or bytes; what was received is bytes.
    custom_properties: {name: value}; a received value is str, "" or None (the name stood alone).
    An attribute that did not come, or cannot come over MQTT, is None: docs/device-client.md.
    """

    # Class attributes: a message takes heap only for the attributes that it sets.
    message_id = None  # type: str
    content_encoding = None  # type: str
    content_type = None  # type: str
    output_name = None  # type: str
    input_name = None  # type: str
    correlation_id = None  # type: str
    user_id = None  # type: str
    expiry_time_utc = None  # type: object
    creation_time_utc = None  # type: object
    iothub_interface_id = None  # type: str
    ack = None  # type: str
    to = None  # type: str
    subject = None  # type: str
    reply_to = None  # type: str
    group_id = None  # type: str
    group_sequence = None  # type: int
    reply_to_group_id = None  # type: str
    absolute_expiry_time = None  # type: int  # ms since 1970, as creation_time
    creation_time = None  # type: int
    annotations = None  # type: dict  # AMQP's message annotations, of a received message
    delivery_count = None  # type: int  # how often it was delivered before; AMQP tells
    outcome = "complete"
    properties = None  # type: dict  # custom_properties, once there are any

    def __init__(
        self, data, message_id=None, content_encoding=None, content_type=None, output_name=None
    ):
        self.data = data
        if message_id is not None:
            self.message_id = message_id
        if content_encoding is not None:
            self.content_encoding = content_encoding
        if content_type is not None:
            self.content_type = content_type
        if output_name is not None:
            self.output_name = output_name

    @property
    def custom_properties(self):
        if self.properties is None:
            self.properties = {}
        return self.properties

    @custom_properties.setter
    def custom_properties(self, properties):
        self.properties = properties

    def reject(self):
        """In a handler: refuse a C2D message for good (AMQP; over MQTT it is completed)."""
        self.outcome = "reject"

    def abandon(self):
        """In a handler: give a C2D message back. It comes again (over MQTT, when reconnected)."""
        self.outcome = "abandon"

    def payload(self):
        """The body as bytes; TypeError for what is neither str nor bytes."""
        data = self.data
        if isinstance(data, bytes):
            return data
        if data is None:
            return b""
        if isinstance(data, str):
            return data.encode()
        if isinstance(data, (bytearray, memoryview)):
            return data
        raise TypeError("Message.data is a %s: give str or bytes" % type(data).__name__)

    def __str__(self):
        return str(self.data)
