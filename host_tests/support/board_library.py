"""A folder that holds a board's /lib, in which a test may change the certificates."""

import ssl
from pathlib import Path

from tools.files import ROOT


def make_board_library(folder, updated=None):
    """Fill `folder` with the library and the built-in roots. updated: a PEM file, the updated
    root.
    """
    (folder / "iothub").symlink_to(ROOT / "firmware" / "iothub")
    certs = folder / "certs"
    certs.mkdir()
    for root in ("digicert-global-root-g2.der", "microsoft-rsa-root-2017.der"):
        (certs / root).write_bytes((ROOT / "firmware" / "certs" / root).read_bytes())
    if updated is not None:
        der = ssl.PEM_cert_to_DER_cert(Path(updated).read_text())
        (certs / "updated.der").write_bytes(der)
