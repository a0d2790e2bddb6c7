"""The hardware watchdog, fed only while the client keeps its deadlines.

    asyncio.create_task(Watchdog(client).run())

Once begun it cannot be stopped: in the REPL, after Ctrl-C, the board resets within `timeout`.
"""

import asyncio

from iothub.health import Deadlines

from . import reset


class Watchdog:
    """timeout: the seconds after which a board resets whose loop stands still, or whose client
    has missed a deadline of its own. check: a function of the program's own, which returns what
    has gone wrong, as text, or None.
    """

    def __init__(self, client, timeout=60, check=None):
        self._client = client
        self._timeout = timeout
        self._check = check

    async def run(self):
        """Feed it; once something has not ended in time, note what, and let it bite."""
        import machine

        dog = machine.WDT(timeout=self._timeout * 1000)
        deadlines, late = Deadlines(self._client), None
        while late is None:
            dog.feed()
            await asyncio.sleep(min(1, self._timeout / 4))
            late = deadlines.missed() or (self._check and self._check())
        print("watchdog: %s did not end in time" % late)
        reset.note(late)
