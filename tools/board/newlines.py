"""Ends of lines, as a board's serial port has them: CR LF, where the unix port writes LF.

MicroPython's own prompts end lines with CR LF on every port. Bytes of mpremote's `mount`, in which
the board is the client of a file system on the host, must pass as they are: there the board begins
with 0x18, the host says 0x18 too, and once the host has answered that is over.
"""

_CALL = 0x18


class Newlines:
    """Between a board and a host. Feed both directions, in the order in which they come."""

    def __init__(self):
        self._last = 0
        self._called = self._raw = False

    def to_host(self, data):
        """What the host gets for these bytes of the board's."""
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
        """Note what the host says."""
        for byte in data:
            if self._called and not self._raw and byte == _CALL:
                self._raw = True
            else:
                self._called = self._raw = False
