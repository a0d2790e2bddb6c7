"""Decodes messages with Qpid Proton and encodes them again; lines of hexadecimal digits."""

import sys

from proton import Message

for line in sys.stdin:
    message = Message()
    message.decode(bytes.fromhex(line))
    print(message.encode().hex(), flush=True)
