"""Find out why a board does not reach its hub: one line for each stage of the connection.

    {prog} doctor --port /dev/ttyUSB0

For the first stage that fails, the line says what to do. The board's program is interrupted, and
starts again at the end. In the board's own REPL, `import board.doctor` does the same. The exit
status is 0 if no stage fails.
"""

import sys

from . import PROG
from .remote import BoardFailure, Remote, RemoteError

PATIENCE = 60  # seconds that a stage may take; Wi-Fi alone has 20


def arguments(parser):
    parser.add_argument("--port", required=True, metavar="P", help="the board's serial port")


def show(line):
    """Print a line, in a colour for its verdict."""
    from rich.console import Console

    style = {"ok": "green", "FAIL": "bold red"}.get(line.partition(" ")[0])
    Console(highlight=False, soft_wrap=True).print(line, style=style, markup=False)


def examine(port):
    """Examine the board on `port`: whether no stage fails. RemoteError."""
    with Remote(port) as remote:
        try:
            remote.stream("import board.doctor", show, PATIENCE)
            return remote.ask("import json; print(json.dumps(board.doctor.healthy))")
        except BoardFailure as error:
            if "ImportError" in error.traceback:
                raise RemoteError(f"the board has no firmware: run {PROG} deploy") from None
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
