"""umqtt on CPython: the real umqtt.simple, from the folder a user names or the one `make` set up.

UMQTT=folder names a folder that holds umqtt/simple.py, as mip installs it; without it the
copy that `python -m tools umqtt` fetched is used. No umqtt code lives in this repository.
"""

import binascii
import os
import socket
import struct
import sys
from pathlib import Path

# umqtt.simple 1.3.4 imports its modules by their old MicroPython names.
for _old, _module in (("usocket", socket), ("ustruct", struct), ("ubinascii", binascii)):
    sys.modules.setdefault(_old, _module)

_FETCHED = Path(__file__).parents[3] / "build" / "umqtt"

__path__ = [str(Path(os.environ.get("UMQTT") or _FETCHED) / "umqtt")]
