"""Token handover: a connection with a new token takes the place of the one before.

Nothing is lost on the way. What was to be sent on the first one still is, what it still receives
is taken in, telemetry waits in Pending, and QoS 1 messages that are not acknowledged come again
on the next one. A failure costs nothing: the first one goes on. Loaded when it is first needed.
"""

_DRY = 2  # seconds for the hub to end the first one


async def hand_over(old, new, stream):
    """Open the Connection `new` over `stream` beside `old`; whether the hub has kept the session.

    On return the hub has accepted `new`, and no more comes from `old`, which is released. Any
    error is as Connection.open()'s: `new` is released, and `old` goes on.
    """
    old.fire("drain")
    old.protocol.pause()
    new.protocol.pause()  # until `old` has run dry
    try:
        session_present = await new.open(stream)
        await old.run_dry(_DRY)
        new.set_open()
    except BaseException as error:
        await new.release(error)
        old.fire("resume")
        # What was written for the new one, behind its CONNECT.
        old.protocol.resume(new.protocol.take())
        raise
    from ..errors import ConnectionDroppedError

    await old.release(ConnectionDroppedError("the token was renewed", "read"))
    return session_present
