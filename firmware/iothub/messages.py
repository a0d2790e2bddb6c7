"""What goes to and comes from the hub: Message, MethodRequest, MethodResponse.

The classes and attributes are those of azure.iot.device; data only, no protocol.
"""


class Message:
    """A telemetry or cloud-to-device message.

    data: str or bytes; what was received is bytes.
    custom_properties: {name: value}; a received value is str, "" or None (the name stood alone).
    """

    def __init__(
        self, data, message_id=None, content_encoding=None, content_type=None, output_name=None
    ):
        self.data = data
        self.custom_properties = {}
        self.message_id = message_id
        self.content_encoding = content_encoding
        self.content_type = content_type
        self.output_name = output_name
        self.input_name = None
        self.correlation_id = None
        self.user_id = None
        self.expiry_time_utc = None
        self.creation_time_utc = None
        self.iothub_interface_id = None
        self.ack = None
        self.outcome = "complete"

    def reject(self):
        """In a handler: refuse a C2D message for good (AMQP; over MQTT it is completed)."""
        self.outcome = "reject"

    def abandon(self):
        """In a handler: give a C2D message back. It comes again (over MQTT, when reconnected)."""
        self.outcome = "abandon"

    def payload(self):
        """The body as bytes; TypeError for what is neither str nor bytes."""
        data = self.data
        if data is None:
            return b""
        if isinstance(data, str):
            return data.encode()
        if isinstance(data, (bytes, bytearray, memoryview)):
            return data
        raise TypeError("Message.data is a %s: give str or bytes" % type(data).__name__)

    def __str__(self):
        return str(self.data)


class MethodRequest:
    """A direct method called by the service: `name` and `payload` (decoded JSON, or None)."""

    def __init__(self, request_id, name, payload):
        self.request_id = request_id
        self.name = name
        self.payload = payload


class MethodResponse:
    """The answer to a direct method: an int `status`, and a `payload` that JSON can hold."""

    def __init__(self, request_id, status, payload=None):
        self.request_id = request_id
        self.status = status
        self.payload = payload

    @classmethod
    def create_from_method_request(cls, method_request, status, payload=None):
        return cls(method_request.request_id, status, payload)
