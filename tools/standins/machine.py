"""The unix port's machine module, and reset(): the process ends and tools/board.py restarts it."""

import os
import sys

from umachine import *  # noqa: F403


class RTC:
    """The host's clock stays as it is: what it would be set to goes to $STANDIN_RTC, a file."""

    def datetime(self, fields):
        with open(os.getenv("STANDIN_RTC"), "w") as file:
            file.write(repr(fields))


def reset():
    sys.exit(75)  # RESET_STATUS there
