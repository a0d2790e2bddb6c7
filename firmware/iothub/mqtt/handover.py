"""Token handover: a connection with a new token takes the place of the one before.

IoT Hub reads a token at CONNECT alone, and keeps one connection of each device: the next one ends
the first. So the first one serves until the hub has accepted the next, and nothing is lost on the
way. What was to be sent on the first one still is, what it still receives is taken in, telemetry
waits in Pending, and QoS 1 messages that are not acknowledged come again on the next one. A
failure costs nothing: the first one goes on. Loaded when it is first needed.

With a will that would publish it: the hub takes each end without DISCONNECT for a loss (MQTT
3.1.1, 3.1.2.5). So the first one serves until the next one lacks no more than its CONNECT, ends in
order, and only then does CONNECT leave. A failure after that is a lost connection.
"""

import asyncio

from ..compat import Future, sleep_ms, wait_for
from ..errors import ConnectionDroppedError, OperationCancelled

_DRY = 2  # seconds for the hub to end the first one
_SETTLE = 100  # times 20 ms, for what is under way on the first one before DISCONNECT


async def renew(transport):
    """Show transport.token() to the hub: see Transport.renew() in iothub/__init__.pyi."""
    old, token = transport.connection, transport.token()
    transport.handover = handover = Future()
    try:
        stream = await transport.dial()
        try:
            new = transport.begin(token)
            if new.patience:
                await _shake_hands(new, stream, transport.timeout)
            standing = transport.connection is old and transport.handover is handover
            if transport.closing or not standing:
                raise OperationCancelled("the client was disconnected meanwhile", "token")
        except BaseException:
            stream.close()
            raise
        transport.next = new
        transport.target = new.protocol  # what is published from now on leaves there

        def is_settled():
            waits = transport.pending.oldest() is not None or old.protocol.requests
            return not waits and transport.events.is_idle()

        session_present = await hand_over(old, new, stream, transport.on_publish, is_settled)
        transport.connection = new
        transport.pending.restart()
        new.token_accepted(token)
        events = transport.events
        events.on_disconnected()  # forgets the messages of the old one, which come again
        if events.wanted()[1]:
            events.run(events.part("twin").synchronize)
        resume(new.protocol, b"", transport.on_publish)
        if not session_present:
            await _subscribe_again(transport, new)
    finally:
        transport.target = transport.connection.protocol
        if transport.handover is handover:
            _end(transport)


async def stop(transport, error):
    """The client disconnects with `error` while a handover is under way."""
    if transport.next is not None and transport.next.patience:
        # Cut short, a handover would leave a connection without DISCONNECT.
        try:
            await wait_for(transport.handover, transport.timeout, "disconnect")
        except OSError as failure:
            transport.events.report(failure)
    if transport.next is not None:
        transport.next.abort(error)
    if transport.handover is not None:
        _end(transport)


def _end(transport):
    handover, transport.handover, transport.next = transport.handover, None, None
    handover.set_result()


async def _shake_hands(connection, stream, timeout):
    """Send the first byte of CONNECT alone: TLS on MicroPython begins with the first write."""
    connect = connection.protocol.take()
    await wait_for(stream.write(connect[:1]), timeout, stream.stage)
    connection.protocol.write(connect[1:])


async def _subscribe_again(transport, connection):
    try:
        await transport.subscribed(transport.subscribe_again())
    except Exception as error:  # a connection that lacks a feature is worse than none
        await _give_up(connection, error)
        raise


async def hand_over(old, new, stream, on_publish, is_settled=None):
    """Open the Connection `new` over `stream` beside `old`; whether the hub has kept the session.

    On return the hub has accepted `new`, and no more comes from `old`, which is released; `new`
    is paused until resume(). Any error is as Connection.open()'s: `new` is released, and `old`
    goes on, unless it has ended. is_settled(): whether nothing is under way on `old`, which
    matters with a will.
    """
    old.fire("drain")
    old.protocol.paused, new.protocol.paused = [], []
    try:
        if new.patience:
            await _end_in_order(old, new, stream, is_settled)
        session_present = await new.open(stream)
        if not new.patience:
            await _run_dry(old)
        new.set_open()
    except BaseException:
        # A request that was written for it may be repeated on the old one.
        error = ConnectionDroppedError("the token was not renewed", "token")
        try:
            await _give_up(new, error)
        finally:
            if old.state != "closed":
                old.fire("resume")
                # What was written for the new one, behind its CONNECT.
                resume(old.protocol, new.protocol.take(), on_publish)
        raise
    return session_present


async def _end_in_order(old, new, stream, is_settled):
    """Let what is under way on `old` end, within a bound, and say DISCONNECT."""
    try:
        for _ in range(_SETTLE):
            if is_settled() or old.state == "closed":
                break
            await sleep_ms(20)
        if new.state != "closed":  # else the client disconnects, and ends `old` itself
            ended = Future()
            asyncio.create_task(_close(old, ended))
            try:
                await ended
            except asyncio.CancelledError:
                await ended  # DISCONNECT leaves all the same
                raise
        if new.state == "closed":
            raise new.closed.value
    except BaseException:
        stream.close()  # `new` does not have it yet
        raise


async def _give_up(connection, error):
    """Release it; with a will in order, or the hub publishes that."""
    try:
        if connection.patience:
            await connection.close(error)
    except OSError:
        pass
    finally:
        connection.release(error)


async def _close(connection, ended):
    try:
        await connection.close(ConnectionDroppedError("ended for a new token", "token"))
    except OSError as error:
        ended.error = error
    finally:
        ended.set_result()


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
