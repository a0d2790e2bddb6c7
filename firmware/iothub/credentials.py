"""Credentials: a device's identity and its proof, from a connection string or from the parts.

The proof is a key, a ready SAS token, or an X.509 certificate, which TLS shows. Nothing here is
printed with its secret. Contract: docs/protocol/mqtt.md, Connection and SAS token.
"""

from . import sas
from .compat import quote, unquote

_KEYS = (
    "HostName",
    "DeviceId",
    "ModuleId",
    "GatewayHostName",
    "SharedAccessKey",
    "SharedAccessKeyName",
    "SharedAccessSignature",
    "x509",
)


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


def split_host(host, port):
    """(name, port) of `host[:port]`; `port` where it names none."""
    name, _, digits = host.rpartition(":")
    if ":" not in host or ":" in name:
        return host, port
    if not name or not digits.isdigit() or not 0 < int(digits) < 65536:
        raise ValueError("HostName: the port is not a number from 1 to 65535")
    return name, int(digits)


class Credentials:
    """An identity at one hub. Build it with from_connection_string, or from the parts.

    Exactly one of key (base64), sastoken (ready) or x509 (True: the TLS layer proves it).
    host, port: where to dial; hostname: the hub's own name, for user name and token.
    """

    def __init__(
        self,
        hostname,
        device_id,
        module_id=None,
        key=None,
        sastoken=None,
        x509=False,
        gateway_hostname=None,
    ):
        self.hostname, _ = split_host(hostname, None)
        # port: None where none is named, so that the protocol's usual one is dialled
        self.use_gateway(gateway_hostname or hostname)
        self.device_id = _identifier(device_id, "DeviceId")
        self.module_id = module_id and _identifier(module_id, "ModuleId")
        if (key is not None) + (sastoken is not None) + bool(x509) != 1:
            raise ValueError("give one of SharedAccessKey, SharedAccessSignature or x509")
        if key is not None:
            sas.decode_key(key)
        if sastoken is not None:
            sas.token_fields(sastoken)
        self._key = key
        self.sastoken = sastoken  # a ready token, which may be replaced

    def use_gateway(self, hostname):
        """Dial this host: a gateway, or the hub itself."""
        self.host, self.port = split_host(hostname, None)

    @classmethod
    def from_connection_string(cls, text):
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
        return cls(
            values["HostName"],
            values["DeviceId"],
            values.get("ModuleId"),
            values.get("SharedAccessKey"),
            values.get("SharedAccessSignature"),
            x509 == "true",
            values.get("GatewayHostName"),
        )

    @classmethod
    def from_sastoken(cls, token):
        """Credentials of a ready token, whose resource is {hub}/devices/{d}[/modules/{m}]."""
        parts = unquote(sas.token_fields(token)["sr"]).split("/")
        if (
            len(parts) not in (3, 5)
            or parts[1] != "devices"
            or parts[3:4] not in ([], ["modules"])
        ):
            raise ValueError("the SAS token is not for a device or a module")
        return cls(parts[0], parts[2], parts[4] if len(parts) == 5 else None, sastoken=token)

    @property
    def client_id(self):
        """The MQTT client identifier: device, or device/module."""
        return self.device_id + "/" + self.module_id if self.module_id else self.device_id

    def username(self, product_info="", model_id=""):
        """The MQTT user name; only its query is percent-encoded."""
        user = self.hostname + "/" + self.client_id + "/?api-version=2021-04-12"
        if product_info:
            user += "&DeviceClientType=" + quote(product_info)
        return user + "&model-id=" + quote(model_id) if model_id else user

    def sign(self, expiry):
        """(token, audience, user name for SASL PLAIN): the ready token, or a new one until
        `expiry` (seconds since 1970). None: a certificate proves the identity.
        """
        resource = self.hostname + "/devices/" + self.device_id
        if self.module_id:
            resource += "/modules/" + self.module_id
        token = self.sastoken
        if token is None:
            if self._key is None:
                return None
            token = sas.sas_token(resource, self._key, expiry)
        return token, resource, self.client_id + "@sas." + self.hostname.split(".")[0]

    def __repr__(self):
        return "<Credentials of %s at %s>" % (self.client_id, self.hostname)


def _identifier(text, name):
    if not text or len(text) > 128 or any(not 33 <= ord(c) <= 126 or c in "/+" for c in text):
        raise ValueError("%s is not 1 to 128 printable ASCII characters without / and +" % name)
    return text
