"""Credentials: a device's or module's identity, and its proof.

The proof is a key, a ready SAS token, or an X.509 certificate, which TLS shows.
Contract: docs/protocol/mqtt.md, Connection and SAS token.
"""

from .compat import forget, quote


def split_host(host, port):
    """(name, port) of `host[:port]`; `port` where it names none."""
    name, _, digits = host.rpartition(":")
    if ":" not in host or ":" in name:
        return host, port
    if not name or not digits.isdigit() or not 0 < int(digits) < 65536:
        raise ValueError("HostName: the port is not a number from 1 to 65535")
    return name, int(digits)


class Credentials:
    """An identity at one hub. See options.from_connection_string(), too.

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
        self.host, self.port = split_host(gateway_hostname or hostname, None)
        self.device_id = _identifier(device_id, "DeviceId")
        self.client_id = self.device_id  # of MQTT
        self.module_id = module_id
        if module_id:
            self.client_id += "/" + _identifier(module_id, "ModuleId")
        if (key is not None) + (sastoken is not None) + bool(x509) != 1:
            raise ValueError("give one of SharedAccessKey, SharedAccessSignature or x509")
        if key is not None:
            from .sas import decode_key

            decode_key(key)
            forget("sas")
        self._key = key
        self.sastoken = sastoken  # a ready token, which may be replaced,
        self.asked_for = None  # and the one for which the program was asked for another

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
            from .sas import sas_token

            token = sas_token(resource, self._key, expiry)
            forget("sas")  # it is needed once an hour
        return token, resource, self.client_id + "@sas." + self.hostname.split(".")[0]


def _identifier(text, name):
    valid = 0 < len(text) <= 128
    for c in text:
        valid = valid and 33 <= ord(c) <= 126 and c not in "/+"
    if not valid:
        raise ValueError("%s is not 1 to 128 printable ASCII characters without / and +" % name)
    return text
