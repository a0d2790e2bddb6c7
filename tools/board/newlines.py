"""Converts the ends of lines: a board's serial port has CR LF, the unix port writes LF.

MicroPython's own prompts end lines with CR LF on every port. The bytes of mpremote's `mount`, in
which the board is the client of a file system on the host, must not change: there the board sends
0x18 first, the host answers with 0x18, and the exchange is over once the host has answered.
"""

_CALL = 0x18


class Newlines:
    """Converts between a board and a host. Feed both directions, in the order of the bytes."""

    def __init__(self):
        self._last = 0
        self._called = self._raw = False

    def to_host(self, data):
        """The bytes for the host, from bytes that the board wrote."""
        out = bytearray()
        for byte in data:
            if not self._raw:
                if byte == 0x0A and self._last != 0x0D and not self._called:
                    out.append(0x0D)
                elif byte == _CALL:
                    self._called = True
            self._last = byte
            out.append(byte)
        return bytes(out)

    def from_host(self, data):
        """Note bytes that the host wrote."""
        for byte in data:
            if self._called and not self._raw and byte == _CALL:
                self._raw = True
            else:
                self._called = self._raw = False
