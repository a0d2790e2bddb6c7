"""SAS token renewal: a token that nears its end is replaced. Loaded when the first one does."""

import asyncio

from .compat import ticks_diff, ticks_ms
from .errors import ConnectionDroppedError, RefusedError


def begin(transport, connection, events, idle):
    """Renew the token of a Connection that is due.

    While the client is not idle it is put off, for at most a twentieth of the token's life.
    """
    since, after = connection.renewal
    if idle or ticks_diff(ticks_ms(), since) - after > connection.token_life * 50:
        connection.renewal = None
        events.run(_renew, transport, connection, events)


async def _renew(transport, connection, events):
    """A failure costs nothing yet: it is reported, and tried again while the connection stands."""
    async with _lock(transport):
        if connection.state == "closed" or connection.renewal is not None:
            return  # update_sastoken() was faster
        try:
            if transport.token() == connection.token:
                # A ready token: the program has to bring another.
                events.run(_ask, connection, events)
            else:
                await transport.renew()
        except MemoryError:  # two connections are too much for this board: one after the other
            reason = "no memory to renew the token beside it"
            error = ConnectionDroppedError(reason, "token")
            try:
                if connection.patience:  # a will: see Connection
                    await connection.close(error)
            finally:
                connection.abort(error)
        except Exception as error:
            _try_again(connection, events, error)


async def _ask(connection, events):
    try:
        await events.call(events.handlers.get("on_new_sastoken_required"))
    except Exception as error:
        _try_again(connection, events, error)


def _try_again(connection, events, error):
    events.report(error)
    connection.renewal = ticks_ms(), max(1000, connection.token_life * 20)


async def update_sastoken(supervisor, sastoken):
    """The client's method: use another ready token; it returns once the hub has accepted it.

    It waits for an attempt to connect that is under way. Without a connection the token is shown
    at the next one, which is tried at once if the token before had ended. Concurrent calls take
    their turns.
    ValueError: it is no token, or for another resource; CredentialError: it is refused, and the
    one before is used again: by the connection that stands or, with a will, by the next one.
    """
    from .ready_token import check, succeeds

    transport = supervisor.transport
    credentials = transport.credentials
    if credentials.sastoken is None:
        raise ValueError("this client makes its own tokens, or needs none")
    check(sastoken, credentials)
    async with _lock(transport):
        before, credentials.sastoken = credentials.sastoken, sastoken
        try:
            while supervisor.state == "connecting":  # perhaps with the token before
                await supervisor.next_state()
            if supervisor.state == "connected" and transport.is_open():
                await transport.renew()
            # If the new one may have ended too, nothing but the wait would delay the attempts.
            elif supervisor.state == "waiting" and succeeds(sastoken, before):
                supervisor.begin()
        except RefusedError:
            credentials.sastoken = before
            raise


def _lock(transport):
    """One token at a time."""
    if transport.renewal_lock is None:
        transport.renewal_lock = asyncio.Lock()
    return transport.renewal_lock
