"""Run a virtual ESP32: the real MicroPython on a pseudo-terminal, with a folder for its flash.

It prints one JSON line, {"port", "folder"}, and runs until Ctrl-C. Programs for a serial port work
with the port: mpremote connect PORT repl, deploy --port PORT, a terminal program.

    {prog} board                      a board whose flash is empty at first
    {prog} board FOLDER --console     shows the board's console here
    {prog} board --heap 72wK          a small heap (w: words of a 32-bit board)
    {prog} board --flash 512K         a littlefs of that size, in FOLDER/flash.img

While it runs, these lines on standard input act on the hardware:
    reset                           press the button EN: power off and on
    wifi up|down|wrong-password     change the state of the Wi-Fi
"""

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

from .. import files
from .machine import WIFI, Board, BoardError

_BLOCK = 4096
_SMALLEST = 8 * _BLOCK


def size(text):
    """The bytes that text such as 512K or 2M stands for. argparse.ArgumentTypeError."""
    scale = {"K": 1024, "M": 1024 * 1024}.get(text[-1:].upper(), 1)
    digits = text[:-1] if scale > 1 else text
    if not digits.isdigit() or int(digits) * scale < _SMALLEST or int(digits) * scale % _BLOCK:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size such as 512K: a multiple of 4K, 32K or more"
        )
    return int(digits) * scale


def arguments(parser):
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=files.board(),
        help="the folder that is its flash (default: %(default)s)",
    )
    parser.add_argument(
        "--heap", default="128wK", help="the size of its heap (default: %(default)s)"
    )
    parser.add_argument(
        "--flash", type=size, metavar="SIZE", help="a littlefs of this size instead of a folder"
    )
    parser.add_argument("--link", type=Path, help="a symbolic link to make to the port")
    parser.add_argument(
        "--wifi", choices=WIFI, default="up", help="its state at first (default: %(default)s)"
    )
    parser.add_argument(
        "--no-umqtt",
        action="store_true",
        help="an image without umqtt.simple; the official ones have it",
    )
    parser.add_argument("--console", action="store_true", help="show the board's console here")


async def main(args):
    board = Board(args.folder, args.heap, args.flash, args.wifi, not args.no_umqtt)
    for number in (signal.SIGTERM, signal.SIGHUP):  # else MicroPython would go on without it
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
    await board.start()
    port = board.port
    try:
        if args.link:
            args.link.unlink(missing_ok=True)
            args.link.symlink_to(port)
            port = str(args.link.absolute())
        print(json.dumps({"port": port, "folder": str(board.folder)}), flush=True)
        tasks = [
            asyncio.ensure_future(board.wait()),
            asyncio.ensure_future(_stdin_commands(board)),
        ]
        if args.console:
            tasks.append(asyncio.ensure_future(_show(board)))
        await asyncio.gather(*tasks)
    finally:
        if args.link:
            args.link.unlink(missing_ok=True)
        await board.stop()


async def _show(board):
    async for line in board.lines():
        print(line, flush=True)


async def _stdin_commands(board):
    """Carry out the commands on standard input, until it ends."""
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError):  # it was closed
        return
    if not (sys.stdin.isatty() or stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return  # a file or /dev/null, which asyncio cannot wait for
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        words = line.decode(errors="replace").split()
        if words == ["reset"]:
            board.reset()
        elif words[:1] == ["wifi"] and len(words) == 2 and words[1] in WIFI:
            board.wifi = words[1]
        elif words:
            print(f"the commands are: reset, wifi {'|'.join(WIFI)}", file=sys.stderr)


def run(args):
    try:
        asyncio.run(main(args))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0
    except (BoardError, OSError, ValueError) as error:
        print(f"board: {error}", file=sys.stderr)
        return 1
    return 0
