"""SASL: what is offered, and how each mechanism is answered. Source: AMQP 1.0, part 5.3."""

from iothub.amqp.codec import DecodeError
from iothub.amqp.composites import INIT, MECHANISMS, OUTCOME, Composite
from iothub.amqp.frames import SASL, frame

from ..core.auth import TokenError

_OK, _AUTH, _SYS = 0, 1, 2


def offer(chain):
    """The frame of mechanisms; EXTERNAL where the client showed a certificate."""
    names = ["MSSBCBS", "PLAIN", "ANONYMOUS"] + (["EXTERNAL"] if chain else [])
    return frame(0, Composite(MECHANISMS, sasl_server_mechanisms=names), kind=SASL)


def outcome(code):
    return frame(0, Composite(OUTCOME, code=code), kind=SASL)


def judge(init, claims):
    """(frame to send, None or why the connection must end) for the client's sasl-init."""
    if init is None or init.descriptor != INIT:
        raise DecodeError("sasl-init was expected")
    if init.mechanism in ("MSSBCBS", "ANONYMOUS", "EXTERNAL"):
        return outcome(_OK), None  # put-token, or the certificate, follows
    if init.mechanism != "PLAIN":
        return outcome(_SYS), "a SASL mechanism that was not offered"
    parts = (init.initial_response or b"").split(b"\0")
    try:
        if len(parts) != 3:
            raise TokenError("SASL PLAIN without user name and password")
        claims.add_plain(parts[1].decode(), parts[2].decode())
    except UnicodeDecodeError:
        return outcome(_AUTH), "SASL PLAIN that is no UTF-8"
    except TokenError as error:
        return outcome(_AUTH), str(error)
    return outcome(_OK), None
