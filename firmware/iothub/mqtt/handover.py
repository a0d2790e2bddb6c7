"""Token handover: a connection with a new token takes the place of the one before.

IoT Hub reads a token at CONNECT alone, and keeps one connection of each device: the next one ends
the first. So the first one serves until the hub has accepted the next, and nothing is lost on the
way. What was to be sent on the first one still is, what it still receives is taken in, telemetry
waits in Pending, and QoS 1 messages that are not acknowledged come again on the next one. A
failure costs nothing: the first one goes on. Loaded when it is first needed.
"""

import asyncio

from ..compat import Future, wait_for
from ..errors import ConnectionDroppedError, OperationCancelled

_DRY = 2  # seconds for the hub to end the first one


async def renew(transport):
    """Show transport.token() to the hub: see Transport.renew() in iothub/__init__.pyi."""
    old, token = transport.connection, transport.token()
    transport.handover = handover = Future()
    try:
        stream = await transport.dial()
        if transport.connection is not old or transport.handover is not handover:
            stream.close()
            raise OperationCancelled("the client was disconnected meanwhile", "token")
        new = transport.next = transport.begin(token)
        transport.target = new.protocol  # what is published from now on leaves there
        session_present = await hand_over(old, new, stream, transport.on_publish)
        transport.connection = new
        transport.pending.restart()
        new.token_accepted(token)
        transport.events.on_handover()  # forgets the messages of the old one, which come again
        resume(new.protocol, b"", transport.on_publish)
        if not session_present:
            await _subscribe_again(transport, new)
    finally:
        transport.target = transport.connection.protocol
        if transport.handover is handover:
            transport.end_handover()


async def _subscribe_again(transport, connection):
    try:
        await transport.subscribed(transport.subscribe_again())
    except Exception as error:  # a connection that lacks a feature is worse than none
        connection.abort(error)
        raise


async def hand_over(old, new, stream, on_publish):
    """Open the Connection `new` over `stream` beside `old`; whether the hub has kept the session.

    On return the hub has accepted `new`, and no more comes from `old`, which is released; `new`
    is paused until resume(). Any error is as Connection.open()'s: `new` is released, and `old`
    goes on.
    """
    old.fire("drain")
    old.protocol.paused, new.protocol.paused = [], []
    try:
        session_present = await new.open(stream)
        await _run_dry(old)
        new.set_open()
    except BaseException:
        # A request that was written for it may be repeated on the old one.
        new.release(ConnectionDroppedError("the token was not renewed", "token"))
        old.fire("resume")
        # What was written for the new one, behind its CONNECT.
        resume(old.protocol, new.protocol.take(), on_publish)
        raise
    return session_present


async def _run_dry(connection):
    """Take in what the peer still sends, until it ends the connection, or the time is over."""
    try:
        await wait_for(connection.reader, _DRY, "read")
    except OSError:
        pass
    except asyncio.CancelledError:
        if connection.state != "closed":  # else close() has cancelled the reader
            raise
    finally:
        connection.release(ConnectionDroppedError("the token was renewed", "read"))


def resume(protocol, written, on_publish):
    """Send telemetry again, and hand on the QoS 1 messages that were held since it was paused."""
    held, protocol.paused = protocol.paused, None
    protocol.write(written)
    protocol.output.set()
    for message in held:
        on_publish(*message)
