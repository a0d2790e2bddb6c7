"""SAS token renewal: a token that nears its end is replaced. Loaded when the first one does."""

import asyncio

from .compat import ticks_diff, ticks_ms, unquote
from .errors import ConnectionDroppedError, RefusedError
from .sas import token_fields


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
                events.run(events.call, events.handlers.get("on_new_sastoken_required"))
            else:
                await transport.renew()
        except MemoryError:  # two connections are too much for this board: one after the other
            reason = "no memory to renew the token beside it"
            connection.abort(ConnectionDroppedError(reason, "token"))
        except Exception as error:
            events.report(error)
            connection.renewal = ticks_ms(), max(1000, connection.token_life * 20)


async def update_sastoken(supervisor, sastoken):
    """The client's method: use another ready token; it returns once the hub has accepted it.

    It waits for an attempt to connect that is under way. Without a connection the token is shown
    at the next one. Concurrent calls take their turns.
    ValueError: it is no token, or for another resource; CredentialError: it is refused, and the
    connection goes on with the one before.
    """
    transport = supervisor.transport
    credentials = transport.credentials
    if credentials.sastoken is None:
        raise ValueError("this client makes its own tokens, or needs none")
    if _resource(sastoken) != _resource(credentials.sastoken):
        raise ValueError("the SAS token is for another device or module")
    async with _lock(transport):
        before, credentials.sastoken = credentials.sastoken, sastoken
        try:
            if await supervisor.settled():  # an attempt under way may have shown the one before
                await transport.renew()
        except RefusedError:
            credentials.sastoken = before
            raise


def _lock(transport):
    """One token at a time."""
    if transport.renewal_lock is None:
        transport.renewal_lock = asyncio.Lock()
    return transport.renewal_lock


def _resource(token):
    return unquote(token_fields(token)["sr"])
