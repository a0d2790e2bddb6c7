"""AMQP's frames: cut out of the stream, and written. Source: AMQP 1.0, part 2.3."""

from .codec import DecodeError
from .composites import Composite, append_composite, decode_composite

AMQP, SASL = 0, 1  # what a frame is for
AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
MIN_MAX_FRAME_SIZE = 512
HEARTBEAT = b"\x00\x00\x00\x08\x02\x00\x00\x00"
_HEADER = 8


def frame(channel, composite, *payload, kind=AMQP):
    """The bytes of a frame."""
    out = bytearray(b"\0\0\0\0\x02\0\0\0")
    out[5] = kind
    out[6:8] = channel.to_bytes(2, "big")
    append_composite(out, composite)
    for piece in payload:
        out.extend(piece)
    out[0:4] = len(out).to_bytes(4, "big")
    return out


class FrameDecoder:
    """Feed it bytes; take() gives what is whole. Nothing over max_frame_size is gathered."""

    def __init__(self, max_frame_size):
        self._max = max_frame_size
        self._buffer = bytearray()
        self._at = 0

    def feed(self, data):
        if self._at:
            self._buffer = self._buffer[self._at :]
            self._at = 0
        self._buffer.extend(data)

    def take_header(self):
        """The eight bytes of a protocol header, or None while they are not all there."""
        if len(self._buffer) - self._at < _HEADER:
            return None
        self._at += _HEADER
        return bytes(self._buffer[self._at - _HEADER : self._at])

    def at_header(self):
        """Whether a protocol header comes next, rather than a frame."""
        return self._buffer[self._at : self._at + 4] == b"AMQP"

    def take(self):
        """(kind, channel, Composite, payload) of the next frame, or None; DecodeError.

        A heartbeat's composite is None.
        """
        have = len(self._buffer) - self._at
        if have < 4:
            return None
        start = self._at
        size = int.from_bytes(self._buffer[start : start + 4], "big")
        if not _HEADER <= size <= self._max:
            raise DecodeError("a frame of %d bytes, where 8 to %d may be" % (size, self._max))
        if have < size:
            return None
        self._at = end = start + size
        body = start + 4 * self._buffer[start + 4]
        if not start + _HEADER <= body <= end:
            raise DecodeError("a frame whose data offset is %d" % self._buffer[start + 4])
        kind = self._buffer[start + 5]
        channel = int.from_bytes(self._buffer[start + 6 : start + 8], "big")
        if body == end:
            return kind, channel, None, b""
        composite, at = decode_composite(self._buffer, body, end)
        if not isinstance(composite, Composite):
            raise DecodeError("a frame that holds no performative")
        return kind, channel, composite, bytes(self._buffer[at:end])
