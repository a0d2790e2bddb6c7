"""The clients' options, their defaults and their bounds; connection strings.

A board needs this once, while a client is made. Times are in seconds, sizes in bytes.

Those of azure.iot.device keep their names and meanings; the second group is this project's.
"""

from .compat import const
from .credentials import Credentials
from .messages import AMQP_ONLY

_KEYS = const(
    (
        "HostName",
        "DeviceId",
        "ModuleId",
        "GatewayHostName",
        "SharedAccessKey",
        "SharedAccessKeyName",
        "SharedAccessSignature",
        "x509",
    )
)


DEFAULTS = {
    "keep_alive": 60,  # 1 to 1177: the hub closes after one and a half times that
    "auto_connect": True,  # an operation connects where connect() has not been called
    "connection_retry": True,  # make a lost connection again, with back-off
    "ensure_desired_properties": True,  # tell what changed while there was no connection
    "sastoken_ttl": 3600,  # a token is renewed when 80 to 90 % of its life are over
    "server_verification_cert": None,  # PEM, DER or a path; None: the built-in roots
    "x509": None,  # an iothub.X509, where the connection string says x509=true
    "product_info": "",
    "model_id": "",  # Plug and Play: the dtmi of what the device is
    "gateway_hostname": None,  # of an edge hub, to be dialled in place of the hub
    "proxy_options": None,  # an iothub.ProxyOptions
    "websockets": False,  # over port 443, where a firewall lets nothing else through
    #
    "timeout": 20,  # for each step: dns, tcp, tls, connack, subscribe, puback, twin, ping
    "operation_timeout": 120,  # for an operation with all its attempts
    "handler_timeout": 60,  # for a handler of the program's
    "https_port": 443,  # for file uploads: of a local hub it may be another
    "qos": 1,
    "transport": "mqtt",  # or "amqp", which can reject and abandon messages
    "sasl": "cbs",  # with AMQP: the token by put-token, or "plain": with SASL PLAIN
    "will": None,  # a Message, sent by the hub when the device is lost
    "window": 16,  # QoS 1 messages on their way at once
    "outbox": None,  # an iothub.Outbox, which keeps telemetry while there is no connection
    "check_clock": None,  # a function; True: the clock was wrong, and is set now
    "max_inbound": 16384,  # a larger packet is dropped, and reported
}

_LONGEST = const(400000)  # seconds: ticks, in which deadlines are kept, tell less than a week


def checked(options):
    """DEFAULTS with `options` over them. TypeError: an unknown one; ValueError: out of bounds."""
    for name in options:
        if name not in DEFAULTS:
            raise TypeError("unknown option: " + name)
    result = dict(DEFAULTS)  # type: dict
    result.update(options)
    for name, low, high in (("keep_alive", 1, 1177), ("window", 1, 256)):
        if not low <= result[name] <= high:
            raise ValueError("%s is not from %d to %d" % (name, low, high))
    for name, choices in (
        ("qos", (0, 1)),
        ("transport", ("mqtt", "amqp")),
        ("sasl", ("cbs", "plain")),
    ):
        if result[name] not in choices:
            raise ValueError("%s is %s or %s" % (name, choices[0], choices[1]))
    if result["will"] is not None:
        _check_will(result["will"], result["transport"])
    for name in ("timeout", "operation_timeout", "handler_timeout", "sastoken_ttl", "max_inbound"):
        value = result[name]
        if not 0 < value <= (_LONGEST if "timeout" in name else value):
            wrong = "more than %d s" % _LONGEST if value > 0 else "not more than 0"
            raise ValueError("%s is %s" % (name, wrong))
    return result


def _check_will(will, transport):
    if transport == "amqp":
        raise ValueError("AMQP has no will")
    for name in AMQP_ONLY:
        if getattr(will, name) is not None:
            raise ValueError("will: MQTT does not carry " + name)


def parse_connection_string(text):
    """{name: value} of `Name=value;…`. ValueError names what is unknown, doubled or empty.

    A wrong part is named by its place where its name could be a piece of a secret.
    """
    values = {}
    for i, part in enumerate(text.strip().rstrip(";").split(";"), 1):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise ValueError("connection string: part %d has no =" % i)
        if name not in _KEYS:
            # A key that was pasted in the wrong place is longer, or has digits.
            letters = all(97 <= ord(c) | 32 <= 122 for c in name)
            name = name if letters and 0 < len(name) <= 24 else "part %d" % i
            raise ValueError("connection string: %s is unknown" % name)
        if name in values:
            raise ValueError("connection string: %s stands twice" % name)
        if not value:
            raise ValueError("connection string: %s is empty" % name)
        values[name] = value
    return values


def from_connection_string(text):
    """Credentials of a device's or module's connection string; ValueError says what is off."""
    values = parse_connection_string(text)
    for name in ("HostName", "DeviceId"):
        if name not in values:
            raise ValueError("connection string: %s is missing" % name)
    if "SharedAccessKeyName" in values:
        raise ValueError("connection string: SharedAccessKeyName belongs to a service")
    x509 = values.get("x509", "false").lower()
    if x509 not in ("true", "false"):
        raise ValueError("connection string: x509 is true or false")
    token = values.get("SharedAccessSignature")
    if token is not None:
        from .ready_token import token_fields

        token_fields(token)
    return Credentials(
        values["HostName"],
        values["DeviceId"],
        values.get("ModuleId"),
        values.get("SharedAccessKey"),
        token,
        x509 == "true",
        values.get("GatewayHostName"),
    )
