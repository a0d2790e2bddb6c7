"""The hardware watchdog, fed only while the client keeps its deadlines.

    asyncio.create_task(Watchdog(client).run())

Once begun it cannot be stopped: board.repl feeds it while a person is in the REPL.
"""

import asyncio
import sys

from iothub.health import Deadlines

from . import forget, reset


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

        repl = sys.modules.get("board.repl")
        if repl is not None:  # from here on only this task feeds it
            repl.release()
            forget("repl")
        dog = machine.WDT(timeout=self._timeout * 1000)
        deadlines, late = Deadlines(self._client), None
        period = min(1, self._timeout / 4)
        dog.feed()
        while late is None:
            await asyncio.sleep(period)
            try:
                late = deadlines.missed() or (self._check and self._check())
                if late is None:
                    dog.feed()
            except MemoryError:  # a heap that stays full is not fed
                pass
        print("watchdog: %s did not end in time" % late)
        reset.note(late)
