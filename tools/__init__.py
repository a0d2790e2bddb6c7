"""The host tools: a local IoT Hub, a virtual board, deployment, a service client, benchmarks.

In a checkout this package is `tools`, and its commands are `python -m tools …`; pip installs it as
`iothub_tools`, with the console command `iothub`.
"""

import sys

# The name of the command in help texts, where it is written {prog}, and in errors.
PROG = "python -m tools" if __name__ == "tools" else "iothub"


def command_line(*arguments):
    """What to run for one of the commands in a process of its own, such as ("hub", "--quiet")."""
    return [sys.executable, "-m", __name__, *map(str, arguments)]
