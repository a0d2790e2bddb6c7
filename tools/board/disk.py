"""A board's flash as the repository has it, without deploying: for the demo and tests."""

import json
import shutil
from pathlib import Path

from ..files import ROOT


def furnish(folder, settings, root=ROOT):
    """Put boot.py, main.py, settings.json and lib/ (all of firmware/, by reference) in `folder`.

    server_verification_cert, if it is among the settings, is a file of the host's: it is copied.
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
