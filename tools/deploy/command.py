"""Bring the firmware to a board, or bring it up to date: only what differs goes over.

    {prog} deploy --port /dev/ttyUSB0            asks for the settings, the first time
    {prog} deploy --port P --settings my.json    or takes them from a file
    WIFI_SSID=… WIFI_PASSWORD=… IOTHUB_DEVICE_CONNECTION_STRING=… {prog} deploy --port P
    {prog} deploy --port P --root ca.pem --repl  a hub with a CA of its own; then the REPL
    {prog} deploy --frozen                       for an image with the library built in
    {prog} deploy --romfs                        for one with a partition for ROMFS

The library is compiled to .mpy for the MicroPython that the board has; boot.py and main.py go as
they are. It can be interrupted at any time: the board has the old program, whole, until it has the
new one, whole. Settings are never taken from the command line, where others could read them.
"""

import subprocess
import sys
from pathlib import Path

from ..files import ROOT
from ..remote import Remote, RemoteError
from . import frozen, image, settings, transfer


def arguments(parser):
    parser.add_argument("--port", metavar="P", help="the board's serial port")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings.json (see README)")
    parser.add_argument("--root", type=Path, metavar="FILE", help="trust this CA, not Azure's")
    parser.add_argument("--azure", action="store_true", help="the package azure.iot.device, too")
    parser.add_argument("--app", type=Path, metavar="FOLDER", help="where boot.py and main.py are")
    parser.add_argument("--repl", action="store_true", help="then open the board's REPL")
    parser.add_argument("--force", action="store_true", help="even where little heap is free")
    parser.add_argument(
        "--frozen",
        nargs="?",
        type=Path,
        const=Path("manifest.py"),
        metavar="FILE",
        help="write a manifest for an image (manifest.py), and no more",
    )
    parser.add_argument(
        "--romfs",
        nargs="?",
        type=Path,
        const=Path("iothub.romfs"),
        metavar="FILE",
        help="write a ROMFS image of the library (iothub.romfs), and no more",
    )
    parser.add_argument(
        "--package", type=Path, metavar="FILE", help="write a package.json for mip, and no more"
    )


class Progress:
    """What was done, line by line, and a bar while files go over."""

    def __init__(self):
        from rich.console import Console

        self.console = Console(highlight=False, soft_wrap=True)

    def say(self, text):
        self.console.print(text, markup=False)

    def bar(self, size):
        """A context manager: advance(path, bytes) moves the bar."""
        from rich.progress import BarColumn, DownloadColumn, TextColumn
        from rich.progress import Progress as Bars

        columns = BarColumn(), DownloadColumn(), TextColumn("{task.description}")
        shown = self.console.is_terminal
        bars = Bars(*columns, console=self.console, transient=True, disable=not shown)
        task = bars.add_task("", total=size)
        bars.advance_file = lambda path, done: bars.update(task, advance=done, description=path)
        return bars


def deploy(args, progress):
    """All of it. The errors of settings, image, transfer and remote."""
    given = settings.gather(args.settings, args.root, ask=False)
    files = image.build(args.azure, args.app or ROOT)
    with Remote(args.port) as remote:
        if transfer.is_pending(remote):
            progress.say("an earlier deployment was cut off at its end: it is completed first")
            transfer.finish(remote)
    with Remote(args.port) as remote:
        try:
            _bring(args, progress, remote, given, files)
        except KeyboardInterrupt:
            progress.say("interrupted: nothing has changed, and the old program starts again")
            remote.restart()
            raise
        except Exception:
            remote.restart()
            raise


def _bring(args, progress, remote, given, files):
    from rich.filesize import decimal

    found = transfer.survey(remote, args.force)
    version = ".".join(map(str, found["version"]))
    progress.say(
        f"{found['name']}, MicroPython {version}: {found['heap'] // 2048} KB of heap and "
        f"{decimal(found['flash'])} of flash are free"
    )
    if transfer.set_clock(remote, found):
        progress.say("its clock was not set: it has this machine's time now")
    if given is None and not found["settings"]:
        given = settings.gather(None, args.root, ask=True)
        if given is None:
            raise ValueError("the board has no settings: name a file with --settings")
    if found["frozen"]:
        progress.say("its image has the library built in")
        files = {path: data for path, data in files.items() if not path.endswith(".mpy")}
    if not found["umqtt"]:
        progress.say("its image has no umqtt.simple: it goes along")
        files = {**files, **image.umqtt_simple()}
    if given is not None:
        files = {**files, **settings.files(given, args.root)}
    plan = transfer.Plan(remote, files)
    if not plan:
        progress.say(f"all {len(files)} files are there already")
        remote.restart()
        return
    plan.check_room(found)
    progress.say(f"{len(plan.changed)} of {len(files)} files go over: {_names(plan)}")
    with progress.bar(plan.size) as bar:
        transfer.bring(remote, plan, bar.advance_file)
    progress.say("deployed; the board starts with it")


def _names(plan):
    names = [path.lstrip("/") for path in plan.changed]
    return ", ".join(names) if len(names) <= 3 else f"{plan.size // 1024} KB"


def write(args):
    """Write a file instead of deploying. ImageError, ValueError, OSError."""
    if args.frozen:
        args.frozen.write_text(frozen.manifest())
        print(f"wrote {args.frozen}: build an image with FROZEN_MANIFEST={args.frozen.absolute()}")
    if args.romfs:
        args.romfs.write_bytes(frozen.romfs())
        print(f"wrote {args.romfs}: bring it with mpremote romfs deploy {args.romfs}, then deploy")
    if args.package:
        args.package.write_text(frozen.package())


def run(args):
    writes = args.frozen or args.romfs or args.package
    if not args.port and not writes:
        print(
            "deploy: --port is missing: `mpremote connect list` shows the ports", file=sys.stderr
        )
        return 2
    try:
        if writes:
            write(args)
            return 0
        deploy(args, Progress())
    except KeyboardInterrupt:
        return 130
    except (RemoteError, transfer.DeployError, image.ImageError, ValueError, OSError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    if args.repl:
        command = [sys.executable, "-m", "mpremote", "connect", args.port, "repl"]
        return subprocess.call(command)
    return 0
