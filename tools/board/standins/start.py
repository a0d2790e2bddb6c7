"""Power-on of the virtual board: imports what an image has built in, mounts the flash, and runs
boot.py and main.py.

The REPL follows (-i). The names begin with an underscore, because the board's program shares them.
"""


def _power_on():
    import os
    import sys
    import vfs

    import _host  # noqa: F401  imported here, a module needs no file later, as if it were frozen
    import time  # noqa: F401
    import machine  # noqa: F401
    import network  # noqa: F401
    import ntptime  # noqa: F401
    import esp32  # noqa: F401

    if os.getenv("STANDIN_UMQTT"):
        sys.path.append(os.getenv("STANDIN_UMQTT"))
        import umqtt.simple  # noqa: F401

    from _flash import Folder, littlefs

    flash = Folder(os.getenv("STANDIN_ROOT"))
    if os.getenv("STANDIN_FLASH"):
        flash = littlefs(flash, int(os.getenv("STANDIN_FLASH")))
    vfs.umount("/")
    vfs.mount(flash, "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]


def _execute(name):
    """Run file `name`: False if it raised. A file that is not there is left out."""
    import os

    import _host

    try:
        _host.tell("begun")  # from here on Ctrl-C interrupts
        try:
            os.stat(name)
        except OSError:
            return True
        globals()["__file__"] = name
        execfile(name)  # noqa: F821 (MicroPython's own)
        return True
    except SystemExit:
        _host.tell("soft_reset")
        while True:
            pass
    except BaseException as error:
        import io
        import sys

        text = io.StringIO()
        sys.print_exception(error, text)
        for line in text.getvalue().splitlines():
            if "/standins/start.py" not in line:
                print(line)
    return False


try:
    _power_on()
except BaseException as error:  # no REPL, because it would see the host's files
    import _host as _told

    _told.tell("broken %r" % error)
    while True:
        pass
if _execute("boot.py"):
    import os as _os

    if not _os.getenv("STANDIN_RAW"):
        _execute("main.py")
