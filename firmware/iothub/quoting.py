"""Percent-encoding, as IoT Hub wants it in topics, user names and tokens (RFC 3986)."""

from .compat import utf8

_HEX = b"0123456789ABCDEF"
_SAFE = b"-_.~"


def quote(text):
    """Percent-encode `text` (str, or UTF-8 bytes): all but letters, digits and -_.~ as %XX."""
    out = bytearray()
    write_quoted(out, text)
    return out.decode()


def write_quoted(out, text):
    """Append what quote(text) gives to a bytearray."""
    at = len(out)
    out.extend(utf8(text) if isinstance(text, str) else text)
    for i in range(at, len(out)):
        byte = out[i]
        if not (48 <= byte <= 57 or 97 <= byte <= 122 or 65 <= byte <= 90 or byte in _SAFE):
            break
    else:
        return  # as is almost always so: nothing was to be encoded, and no heap taken for it
    rest = bytes(out[i:])
    out[i:] = b""
    for byte in rest:
        if 48 <= byte <= 57 or 97 <= byte <= 122 or 65 <= byte <= 90 or byte in _SAFE:
            out.append(byte)
        else:
            out.append(37)
            out.append(_HEX[byte >> 4])
            out.append(_HEX[byte & 15])


def _digit(byte):
    if 48 <= byte <= 57:
        return byte - 48
    byte |= 32
    return byte - 87 if 97 <= byte <= 102 else -1


def unquote(text):
    """Decode %XX in `text` (str); what is no escape stays as it is, and + stays a +.

    ValueError: the bytes that come out are not UTF-8.
    """
    if "%" not in text:
        return text
    data = text.encode()
    out = bytearray()
    i, end = 0, len(data)
    while i < end:
        byte = data[i]
        i += 1
        if byte == 37 and i + 1 < end:
            high, low = _digit(data[i]), _digit(data[i + 1])
            if high >= 0 and low >= 0:
                byte = high << 4 | low
                i += 2
        out.append(byte)
    return out.decode()
