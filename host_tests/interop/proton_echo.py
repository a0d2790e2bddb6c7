"""Reads messages as lines of hexadecimal digits; Proton decodes each, and encodes it again."""

import sys

from proton import Message

for line in sys.stdin:
    message = Message()
    message.decode(bytes.fromhex(line))
    print(message.encode().hex(), flush=True)
