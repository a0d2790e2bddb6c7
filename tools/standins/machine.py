"""The unix port's machine module, and reset(): the process ends and tools/board.py restarts it."""

import sys

from umachine import *  # noqa: F403

RESET_STATUS = 75


def reset():
    sys.exit(RESET_STATUS)
