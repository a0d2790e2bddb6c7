"""Copy the firmware to a board, or update it. Only files that differ are copied.

    {prog} deploy --port /dev/ttyUSB0            asks for the settings the first time
    {prog} deploy --port P --settings my.json    reads the settings from a file
    WIFI_SSID=… WIFI_PASSWORD=… IOTHUB_DEVICE_CONNECTION_STRING=… {prog} deploy --port P
    {prog} deploy --port P --root ca.pem --repl  trusts another CA; opens the REPL at the end
    {prog} deploy --frozen                       for an image that has the library built in
    {prog} deploy --romfs                        for an image with a ROMFS partition

The library is compiled to .mpy files for the board's MicroPython; boot.py and main.py are copied
as they are. Deployment can be interrupted at any time: the board keeps its old program, complete,
until it has the new one, complete. No option takes a secret, because others can read the command
line.
"""

import subprocess
import sys
from pathlib import Path

from ..files import ROOT
from ..remote import Remote, RemoteError
from . import frozen, image, settings, transfer


def arguments(parser):
    parser.add_argument("--port", metavar="P", help="the board's serial port")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="the settings, as JSON")
    parser.add_argument(
        "--root", type=Path, metavar="FILE", help="trust this CA instead of Azure's"
    )
    parser.add_argument(
        "--azure", action="store_true", help="copy the package azure.iot.device, too"
    )
    parser.add_argument(
        "--app", type=Path, metavar="FOLDER", help="the folder of your own boot.py and main.py"
    )
    parser.add_argument("--repl", action="store_true", help="open the board's REPL at the end")
    parser.add_argument("--force", action="store_true", help="deploy even if little heap is free")
    parser.add_argument(
        "--frozen",
        nargs="?",
        type=Path,
        const=Path("manifest.py"),
        metavar="FILE",
        help="only write a manifest for an image (manifest.py)",
    )
    parser.add_argument(
        "--romfs",
        nargs="?",
        type=Path,
        const=Path("iothub.romfs"),
        metavar="FILE",
        help="only write a ROMFS image of the library (iothub.romfs)",
    )
    parser.add_argument(
        "--package",
        type=Path,
        metavar="FILE",
        help="only write the package.json of a checkout, for mip",
    )


class Progress:
    """Prints what is done, line by line, and a progress bar while files are copied."""

    def __init__(self):
        from rich.console import Console

        self.console = Console(highlight=False, soft_wrap=True)

    def say(self, text):
        self.console.print(text, markup=False)

    def bar(self, size):
        """A context manager: a bar of `size` bytes, which advance_file(path, bytes) moves."""
        from rich.progress import BarColumn, DownloadColumn, TextColumn
        from rich.progress import Progress as Bars

        columns = BarColumn(), DownloadColumn(), TextColumn("{task.description}")
        shown = self.console.is_terminal
        bars = Bars(*columns, console=self.console, transient=True, disable=not shown)
        task = bars.add_task("", total=size)
        bars.advance_file = lambda path, done: bars.update(task, advance=done, description=path)
        return bars


def deploy(args, progress):
    """Deploy to args.port. RemoteError, DeployError, ImageError, ValueError, OSError."""
    given = settings.gather(args.settings, args.root, ask=False)
    files = image.build(args.azure, args.app or ROOT)
    with Remote(args.port) as remote:
        if transfer.is_pending(remote):
            progress.say("an earlier deployment was interrupted at its end: completing it first")
            transfer.finish(remote)
    with Remote(args.port) as remote:
        try:
            _copy(args, progress, remote, given, files)
        except KeyboardInterrupt:
            progress.say("interrupted: nothing was changed; the old program starts again")
            remote.restart()
            raise
        except Exception:
            remote.restart()
            raise


def _copy(args, progress, remote, given, files):
    from rich.filesize import decimal

    found = transfer.survey(remote, args.force)
    version = ".".join(map(str, found["version"]))
    progress.say(
        f"{found['name']}, MicroPython {version}: {found['heap'] // 1024} KiB of heap and "
        f"{decimal(found['flash'])} of flash are free"
    )
    if transfer.set_clock(remote, found):
        progress.say("the board's clock was not set: it now has the time of this machine")
    if given is None and not found["settings"]:
        given = settings.gather(None, args.root, ask=True)
        if given is None:
            raise ValueError("the board has no settings: name a file with --settings")
    if found["frozen"]:
        progress.say("the board's image has the library built in")
        files = {path: data for path, data in files.items() if not path.endswith(".mpy")}
    if not found["umqtt"]:
        progress.say("the board's image has no umqtt.simple: copying it, too")
        files = {**files, **image.umqtt_simple()}
    if given is not None:
        files = {**files, **settings.files(given, args.root)}
    plan = transfer.Plan(remote, files)
    if not plan:
        progress.say(f"the board has all {len(files)} files already")
        remote.restart()
        return
    plan.check_room(found)
    if plan.changed:
        progress.say(f"copying {len(plan.changed)} of {len(files)} files: {_names(plan)}")
    if plan.old:
        progress.say(f"deleting {len(plan.old)} old files")
    with progress.bar(plan.size) as bar:
        transfer.copy(remote, plan, bar.advance_file)
    progress.say("deployed: the board starts the new program")


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
        print(f"wrote {args.romfs}: copy it with mpremote romfs deploy {args.romfs}, then deploy")
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
