"""The unix port's machine module, and reset(): the process ends and tools/board.py restarts it."""

import sys

from umachine import *  # noqa: F403


def reset():
    sys.exit(75)  # RESET_STATUS there
