"""uuid4() for boards, whose firmware has no uuid module."""

import os


def uuid4():
    """A random UUID, as text: RFC 9562, version 4."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 15 | 64
    digits[8] = digits[8] & 63 | 128
    text = "".join(["%02x" % byte for byte in digits])
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])
