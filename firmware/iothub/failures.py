"""After a failure: what it may mean, and how long to wait. Loaded with the first one."""

from .compat import random
from .errors import ConnectionFailedError, CredentialError


class Backoff:
    """Delays before successive attempts, in seconds: uniform between 0 and a doubling ceiling.

    Full jitter holds at the cap too, so that a fleet cut off at once does not return at once.
    random: a function giving 0 <= x < 1.
    """

    def __init__(self, base=1, cap=60, random=random):
        self._cap = cap
        self._random = random
        self.ceiling = base

    def next(self):
        """The delay before the next attempt; the ceiling doubles behind it."""
        delay = self._random() * self.ceiling
        self.ceiling = min(self._cap, self.ceiling * 2)
        return delay


async def examine(supervisor, error, again):
    """An attempt has failed with `error`. It returns if the attempt is to be made again at once,
    which `again` has to allow, or raises the error to report.
    """
    if not isinstance(error, (CredentialError, ConnectionFailedError)):
        raise error
    if again and await _clock_was_wrong(supervisor, error):
        return
    credentials = getattr(supervisor.transport, "credentials", None)  # a service has none
    if credentials is None or credentials.sastoken is None:
        raise error
    from .ready_token import on_refused

    raise on_refused(credentials, supervisor.dispatcher, error)


async def _clock_was_wrong(supervisor, error):
    """Whether check_clock has set the clock. It is asked before the key, or the hub, is blamed: a
    wrong clock makes tokens and certificates invalid.
    """
    refused = isinstance(error, CredentialError) and error.code != 2
    if supervisor.check_clock is None or not refused and error.stage != "tls":
        return False
    try:
        wrong = await supervisor.dispatcher.call(supervisor.check_clock)
    except Exception as mistake:  # it must not hide what it was asked for
        supervisor.dispatcher.report(mistake)
        return False
    if wrong is False:
        supervisor.check_clock = None
    return wrong


class OversizedError(ValueError):
    """Something of `size` bytes came, at `stage`: over max_inbound, so it was not kept."""

    def __init__(self, stage, size, limit):
        super().__init__("%s: %d bytes came; max_inbound is %d" % (stage, size, limit))
        self.stage = stage
        self.size = size
