"""A second connection that takes the first one's place, with a new token, within one session.

IoT Hub reads a token at CONNECT alone, and has one connection of each device: the next one ends
the first. So the first one serves until the hub has accepted its successor, and a successor that
fails costs nothing. A part of Link and Carrier, loaded when it is first needed.
"""

from ..blame import refusal
from ..deadline import within
from ..errors import ConnectionDroppedError, ProtocolError

_DRY = 2  # seconds for the hub to end the first one


async def renew(link, signed):
    """Show a new token: sign()'s. ConnectionFailedError, OperationTimeout, CredentialError: the
    first connection goes on.
    """
    link.moving = True
    session = link.session
    session.hold = hold = Hold(session.sock)
    try:
        stream, session_present = await _dialled(link, signed)
        session.begin()
        old = _succeed(link, stream)
        link.shown(signed)
        answers = [] if session_present else link.subscribe_anew()
        link.owner.renewed()
        await old.close()
        await link.subscribed(answers)
    finally:
        if session.hold is hold:  # then there is no successor
            session.hold = None
            hold.undo(session.sock, link)
        link.moving = False
        link.wake()
        if link._error is not None and link.up:
            link._broken.set()  # what was let pass meanwhile


def _succeed(link, stream):
    """Go on with `stream` instead; the old one."""
    link._cancel_tasks()
    old, link._stream = link._stream, stream
    link._error = None
    link._fail_answers(ConnectionDroppedError("the connection was renewed", "read"))
    link._start_reading()
    link._start_writing()
    return old


class Hold:
    """What a session does while its connection may be succeeded by another.

    What was to be sent still is; what is written from now on goes to the one that is there in
    the end. PUBACKs are for this one alone; and QoS 1 messages come again if it is succeeded.
    """

    def __init__(self, pipe):
        self._owed, pipe.out = pipe.out, bytearray()
        self._pubacks = []
        self._messages = []

    def pump(self):
        return len(self._owed) > 0

    def take(self):
        owed, self._owed = self._owed, bytearray()
        return owed

    def write(self, puback):
        self._pubacks.append(puback)

    def message(self, *message):
        self._messages.append(message)

    def undo(self, pipe, listener):
        """The connection goes on."""
        pipe.out = self._owed + pipe.out
        for puback in self._pubacks:
            pipe.write(puback)
        for message in self._messages:
            listener.message(*message)


async def _dialled(link, signed):
    """(stream, session present) of a connection that the hub has accepted."""
    timeout = link.timeout
    stream = await link.dial()
    try:
        hello = link.session.greeting(signed and signed[0], link.clean_session)
        await within(timeout, stream.stage, stream.write(hello))
        session_present = await within(timeout, "connack", _connack(stream))
        await _run_dry(link)
        return stream, session_present
    except BaseException:
        await stream.close()
        raise


async def _run_dry(link):
    """Take in what the hub sent before it ends the first connection, as it will in a moment."""
    try:
        await within(_DRY, "read", link._tasks[0])  # its reader
    except OSError:
        pass  # then it is ended here


async def _connack(stream):
    """Session present, of the CONNACK that is to come; not a byte more is read."""
    packet = b""
    while len(packet) < 4:
        rest = bytearray(4 - len(packet))
        size = await stream.readinto(rest)
        if not size:
            raise ConnectionDroppedError("the hub closed the connection", "connack")
        packet += rest[:size]
    if packet[0] != 0x20 or packet[1] != 2:
        raise ProtocolError("no CONNACK, but %d" % packet[0], "connack")
    if packet[3]:
        raise refusal(packet[3])
    return bool(packet[2] & 1)
