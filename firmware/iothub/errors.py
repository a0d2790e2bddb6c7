"""Exceptions, by what the caller should do next. Each carries the stage that failed.

TransportError (an OSError)   the network or the peer's bytes: connect again
RefusedError (refused.py)     the hub said no, with a code: mend the token or the request, or stop
ValueError                    the caller's mistake: nothing was sent

Stages of connecting: dns, tcp, proxy, tls, websocket, connack, subscribe; with AMQP sasl, open,
token, attach. Of a connection: read, write, ping, disconnect; with AMQP link, close. Of an
operation: puback, disposition, twin, method, message, desired, handler, token, outbox, upload,
register, management, identity, idle. Where the heap is full: memory. Names are those of
azure.iot.device.exceptions where it has one.
"""

import errno

logger = None  # iothub.log sets it: logger(level, stage, text or exception); None costs no heap


class TransportError(OSError):
    """The connection failed at `stage`; connecting again may help."""

    def __init__(self, message, stage=None):
        super().__init__("%s: %s" % (stage, message) if stage else message)
        self.stage = stage


class ConnectionFailedError(TransportError):
    """No connection could be made."""


class ConnectionDroppedError(TransportError):
    """A connection that stood is gone."""

    code = None  # type: str  # AMQP's condition


class ProtocolError(ConnectionDroppedError):
    """The peer sent bytes that its protocol does not allow."""


class OperationTimeout(TransportError):
    """A deadline passed."""


class NoConnectionError(TransportError):
    """The operation needs a connection and none was asked for."""


class OperationCancelled(Exception):
    """The client was disconnected or shut down while the operation was under way."""

    def __init__(self, message, stage=None):
        super().__init__("%s: %s" % (stage, message) if stage else message)
        self.stage = stage


def __getattr__(name):
    """The errors of a hub that refuses are loaded when one of them is first named."""
    from . import refused

    return getattr(refused, name)


HEAP_FULL = ConnectionDroppedError("the heap is full", "memory")


def kept(error):
    """`error`, if it may be kept for later. Where the heap is full MicroPython has one exception
    for all, which becomes another with the next one that is raised: HEAP_FULL stands for it.
    """
    return HEAP_FULL if isinstance(error, MemoryError) else error


def reason(error):
    """One line for what the system said, which on MicroPython may be a bare number."""
    text = ""
    for part in error.args:
        text += " " + errno.errorcode.get(part, str(part))
    return text.strip() or type(error).__name__
