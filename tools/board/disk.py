"""Fill a virtual board's flash without deploying to it, for the demo and the tests."""

import json
import shutil
from pathlib import Path

from ..files import ROOT


def furnish(folder, settings, root=ROOT):
    """Put boot.py, main.py, settings.json and lib (a symbolic link to firmware/) in `folder`.

    settings: a dict. Its server_verification_cert, if any, is a file on the host, which is copied.
    root: the folder that has boot.py, main.py and firmware.
    """
    folder = Path(folder)
    for name in ("boot.py", "main.py"):
        shutil.copy(root / name, folder / name)
    lib = folder / "lib"
    if not lib.exists():
        lib.symlink_to(root / "firmware")
    settings = dict(settings)
    certificate = settings.get("server_verification_cert")
    if certificate:
        settings["server_verification_cert"] = Path(certificate).name
        shutil.copy(certificate, folder)
    path = folder / "settings.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(settings))
