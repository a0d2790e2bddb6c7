"""When to try again: exponential back-off with full jitter."""


def random():
    """0 <= x < 1, from the system's entropy."""
    import os

    return int.from_bytes(os.urandom(3), "big") / 16777216


class Backoff:
    """Delays before successive attempts, in seconds: uniform between 0 and a doubling ceiling.

    Full jitter holds at the cap too, so that a fleet cut off at once does not return at once.
    random: a function giving 0 <= x < 1.
    """

    def __init__(self, base=1, cap=60, random=random):
        self._base = base
        self._cap = cap
        self._random = random
        self.ceiling = base

    def next(self):
        """The delay before the next attempt; the ceiling doubles behind it."""
        delay = self._random() * self.ceiling
        self.ceiling = min(self._cap, self.ceiling * 2)
        return delay

    def reset(self):
        """Begin again at the base, once a connection has proved itself."""
        self.ceiling = self._base
