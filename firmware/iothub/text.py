"""Percent-encoding, as IoT Hub wants it in topics, user names and tokens (RFC 3986)."""

_HEX = b"0123456789ABCDEF"
_SAFE = b"-_.~"


def _unreserved(byte):
    return 48 <= byte <= 57 or 97 <= byte <= 122 or 65 <= byte <= 90 or byte in _SAFE


def quote(text):
    """Percent-encode `text` (str, or UTF-8 bytes): all but letters, digits and -_.~ as %XX."""
    data = text.encode() if isinstance(text, str) else text
    out = bytearray()
    for byte in data:
        if _unreserved(byte):
            out.append(byte)
        else:
            out.append(37)
            out.append(_HEX[byte >> 4])
            out.append(_HEX[byte & 15])
    return out.decode()


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
