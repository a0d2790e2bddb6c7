"""What keeps a board from its hub, one line a stage; the stage that fails, and what to do.

    {prog} doctor --port /dev/ttyUSB0

It interrupts the board's program, examines, and lets the program start again. On the board itself
`import board.doctor` does the same. The exit status is 0 if all is well.
"""

import sys

from . import PROG
from .remote import BoardFailure, Remote, RemoteError

PATIENCE = 60  # seconds that a stage may take: Wi-Fi has 20, a refused hub some more


def arguments(parser):
    parser.add_argument("--port", required=True, metavar="P", help="the board's serial port")


def show(line):
    """A line of the doctor's, in colour."""
    from rich.console import Console

    style = {"ok": "green", "FAIL": "bold red"}.get(line.partition(" ")[0])
    Console(highlight=False, soft_wrap=True).print(line, style=style, markup=False)


def examine(port):
    """Whether the board on `port` is well. RemoteError."""
    with Remote(port) as remote:
        try:
            remote.stream("import board.doctor", show, PATIENCE)
            return remote.ask("import json; print(json.dumps(board.doctor.healthy))")
        except BoardFailure as error:
            if "ImportError" in error.traceback:
                raise RemoteError(f"the firmware is not there: {PROG} deploy") from None
            raise
        finally:
            remote.restart()


def run(args):
    try:
        return 0 if examine(args.port) else 1
    except KeyboardInterrupt:
        return 130
    except RemoteError as error:
        print(f"doctor: {error}", file=sys.stderr)
        return 1
