"""SAS tokens, taken apart and verified. Reasons are for the log; they never hold a secret.

Source: spec iothub-mqtt, "SAS token". Written with the standard library alone.
"""

import base64
import hmac
from urllib.parse import unquote

from .errors import HubError

_START = "SharedAccessSignature "


class TokenError(HubError):
    """A token that is not accepted; the text says why."""

    def __init__(self, reason):
        super().__init__(401, "IotHubUnauthorized", reason, 401002)


def parse(token):
    """{"sr", "sig", "se"[, "skn"]} of a token, sr and sig still percent-encoded."""
    if not token.startswith(_START):
        raise TokenError("the password is no SAS token")
    fields = {}
    for part in token[len(_START) :].split("&"):
        name, _, value = part.strip().partition("=")
        if name in fields:
            raise TokenError(f"the token has {name} twice")
        fields[name] = value
    for name in ("sr", "sig", "se"):
        if not fields.get(name):
            raise TokenError(f"the token has no {name}")
    if not (fields["se"].isascii() and fields["se"].isdigit() and len(fields["se"]) < 16):
        raise TokenError("the token's se is no number")
    return fields


def sign(resource, expiry, key):
    """The signature of an encoded `resource` (bytes out: raw digest)."""
    return _digest(resource, expiry, base64.b64decode(key))


def _digest(resource, expiry, secret):
    return hmac.digest(secret, f"{resource}\n{expiry}".encode(), "sha256")


def verify(fields, keys, now, as_text=False):
    """The expiry (seconds since 1970) of a parsed token, once one of the base64 `keys` signed it.

    as_text: the key's text may have signed it, as an event hub's clients do. TokenError: why not.
    """
    expiry = int(fields["se"])
    if expiry <= now:
        raise TokenError(f"the token expired {now - expiry:.0f} s ago")
    try:
        signature = base64.b64decode(unquote(fields["sig"]), validate=True)
    except ValueError:
        raise TokenError("the token's signature is not base64") from None
    for key in keys:
        # What was sent is what was signed: sr goes in as it came, encoded their way.
        secrets = [base64.b64decode(key)] if key else []
        if key and as_text:
            secrets.append(key.encode())
        for secret in secrets:
            if hmac.compare_digest(_digest(fields["sr"], fields["se"], secret), signature):
                return expiry
    raise TokenError("the token is not signed with this identity's key")
