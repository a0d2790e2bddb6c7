"""The host tools: a local IoT Hub, a virtual board, deployment, a service client, benchmarks.

In a checkout this package is `tools`, and its commands are `python -m tools …`; pip installs it as
`iothub_tools`, with the console command `iothub`.
"""

import sys

# The name of the command in help texts, where it is written {prog}, and in errors.
PROG = "python -m tools" if __name__ == "tools" else "iothub"


# Not -m, which puts the current folder first: a user's own folder `iothub` would hide ours.
_INSTALLED = (
    "import sys; sys.path = [path for path in sys.path if path];"
    f"from {__name__}.__main__ import main; sys.exit(main())"
)


def command_line(*arguments):
    """What to run for one of the commands in a process of its own, such as ("hub", "--quiet")."""
    how = ("-m", "tools") if __name__ == "tools" else ("-c", _INSTALLED)
    return [sys.executable, *how, *map(str, arguments)]
