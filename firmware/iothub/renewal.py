"""A SAS token that nears its end is replaced. Loaded when the first one does."""

import asyncio

from .errors import ConnectionDroppedError

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
