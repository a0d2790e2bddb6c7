"""A SAS token that nears its end is replaced. Loaded when the first one does."""

import asyncio

from .errors import ConnectionDroppedError, RefusedError
from .quoting import unquote
from .sas import token_fields

_LONG = 20  # a renewal is put off for at most this part of the token's life,
_AGAIN = 50  # and one that failed is tried again after that


async def renew(carrier, life):
    """Bring a new token to the hub, on a connection whose token lives `life` seconds in all.

    A failure costs nothing yet: it is reported, and tried again for as long as the connection
    stands.
    """
    left = life / _LONG
    while left > 0 and not carrier.calm():
        await asyncio.sleep(0.1)
        left -= 0.1
    while True:
        try:
            signed = carrier.sign()
            if signed[0] == carrier.token:
                carrier.owner.expiring()  # a ready token: the program has to bring another
            else:
                await carrier.renew(signed)
            return
        except MemoryError:  # two connections are too much for this board: one after the other
            reason = "no memory to renew the token beside it"
            carrier.break_off(ConnectionDroppedError(reason, "token"))
            return
        except Exception as error:
            carrier.owner.problem(error)
        await asyncio.sleep(max(1, life / _AGAIN))


async def update_sastoken(client, sastoken):
    """Use another ready token from now on; returns once the hub has accepted it.

    ValueError: it is none, or for another resource; CredentialError: it is refused, and the
    connection goes on with the one before.
    """
    credentials = client._credentials
    if credentials._sastoken is None:
        raise ValueError("this client makes its own tokens, or needs none")
    if _resource(sastoken) != _resource(credentials._sastoken):
        raise ValueError("the SAS token is for another device or module")
    before, credentials._sastoken = credentials._sastoken, sastoken
    try:
        if client.connected:
            await client._transport.renew()
        client._expiring = False
    except RefusedError:
        credentials._sastoken = before
        raise


def _resource(token):
    return unquote(token_fields(token)["sr"])
