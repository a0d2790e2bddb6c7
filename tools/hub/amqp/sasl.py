"""SASL: the mechanisms that the hub offers, and its answer to each.

Source: AMQP 1.0, part 5.3.
"""

from iothub.amqp.codec import DecodeError
from iothub.amqp.composites import INIT, MECHANISMS, OUTCOME, Composite
from iothub.amqp.frames import SASL, frame

from ..core.errors import Unauthorized

_OK, _AUTH, _SYS = 0, 1, 2


def offer(chain):
    """The frame that offers the mechanisms; EXTERNAL if the client has shown a certificate."""
    names = ["MSSBCBS", "PLAIN", "ANONYMOUS"] + (["EXTERNAL"] if chain else [])
    return frame(0, Composite(MECHANISMS, sasl_server_mechanisms=names), kind=SASL)


def _outcome(code):
    return frame(0, Composite(OUTCOME, code=code), kind=SASL)


def judge(init, claims):
    """(the frame that answers a sasl-init, None or the reason why the connection must close)."""
    if init is None or init.descriptor != INIT:
        raise DecodeError("the first SASL frame is not sasl-init")
    if init.mechanism in ("MSSBCBS", "ANONYMOUS", "EXTERNAL"):
        return _outcome(_OK), None  # put-token, or the certificate, follows
    if init.mechanism != "PLAIN":
        return _outcome(_SYS), "the client chose a mechanism that the hub does not offer"
    parts = (init.initial_response or b"").split(b"\0")
    try:
        if len(parts) != 3:
            raise Unauthorized("PLAIN must send a user name and a SAS token as password")
        claims.add_plain(parts[1].decode(), parts[2].decode())
    except UnicodeDecodeError:
        return _outcome(_AUTH), "the user name or password of PLAIN is not UTF-8"
    except Unauthorized as error:
        return _outcome(_AUTH), str(error)
    return _outcome(_OK), None
