"""SAS tokens: parsed and verified. Error texts are for people and never hold a secret.

This is written with the standard library alone, so that the firmware's own encoder is checked
against something else. Source: docs/protocol/mqtt.md, "SAS token".
"""

import base64
import hmac
from urllib.parse import unquote

from .errors import Unauthorized

_START = "SharedAccessSignature "


def parse(token):
    """{"sr", "sig", "se"[, "skn"]} of a token, sr and sig still percent-encoded. Unauthorized."""
    if not token.startswith(_START):
        raise Unauthorized(f"the credential is not a SAS token: it must begin with '{_START}'")
    fields = {}
    for part in token[len(_START) :].split("&"):
        name, _, value = part.strip().partition("=")
        if name in fields:
            raise Unauthorized(f"the SAS token has {name[:20]} twice")
        fields[name] = value
    for name in ("sr", "sig", "se"):
        if not fields.get(name):
            raise Unauthorized(f"the SAS token has no {name}: it must have sr, sig and se")
    if not (fields["se"].isascii() and fields["se"].isdigit() and len(fields["se"]) < 16):
        raise Unauthorized("the SAS token's se is not a number of seconds since 1970")
    return fields


def resource_of(fields):
    """The resource (sr) that a parsed token is for, decoded."""
    return unquote(fields["sr"])


def sign(resource, expiry, key):
    """The signature of an encoded `resource`, as a raw digest. key: in base64."""
    return _digest(resource, expiry, base64.b64decode(key))


def _digest(resource, expiry, secret):
    return hmac.digest(secret, f"{resource}\n{expiry}".encode(), "sha256")


def verify(fields, keys, now, as_text=False):
    """The expiry (seconds since 1970) of a parsed token that one of the base64 `keys` signed.

    as_text: the key's own text may be the secret too, as Event Hubs clients use it. Unauthorized.
    """
    expiry = int(fields["se"])
    if expiry <= now:
        raise Unauthorized(
            f"the SAS token expired {now - expiry:.0f} s ago: check the clock of the machine that "
            "made it, and make a new one"
        )
    try:
        signature = base64.b64decode(unquote(fields["sig"]), validate=True)
    except ValueError:
        raise Unauthorized("the SAS token's sig is not base64, percent-encoded") from None
    for key in keys:
        secrets = [base64.b64decode(key)] if key else []
        if key and as_text:
            secrets.append(key.encode())
        for secret in secrets:
            # sr is signed as it was sent: clients percent-encode it in different ways.
            if hmac.compare_digest(_digest(fields["sr"], fields["se"], secret), signature):
                return expiry
    raise Unauthorized(
        "the SAS token's signature does not match: sign it with a current key of the identity, "
        "group or policy that it is for"
    )
