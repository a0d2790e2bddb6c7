"""AMQP 1.0's types, encoded and decoded.

Python's own values are null, boolean, long (int), double (float), string, binary, list and map.
Every other type is named: Typed("symbol", "a"), Typed("uint", 7), Typed("uuid", sixteen bytes),
Typed("array", ("int", [1, 2])). A decoder gives plain values for other widths too (a uint is an
int, a symbol a str, an array a list), unless it is told to be exact.

Lengths are checked before anything is read or allocated. Source: AMQP 1.0, part 1.
"""

import struct

MAX_DEPTH = 12  # lists in maps in lists: each level costs stack
_MAX_EMPTY = 256  # elements of arrays that take no bytes: nothing else bounds their number

_KINDS = {
    0x40: "null", 0x41: "boolean", 0x42: "boolean", 0x43: "uint", 0x44: "ulong", 0x45: "list",
    0x50: "ubyte", 0x51: "byte", 0x52: "uint", 0x53: "ulong", 0x54: "int", 0x55: "long",
    0x56: "boolean", 0x60: "ushort", 0x61: "short", 0x70: "uint", 0x71: "int", 0x72: "float",
    0x73: "char", 0x74: "decimal32", 0x80: "ulong", 0x81: "long", 0x82: "double",
    0x83: "timestamp", 0x84: "decimal64", 0x94: "decimal128", 0x98: "uuid",
    0xA0: "binary", 0xA1: "string", 0xA3: "symbol", 0xB0: "binary", 0xB1: "string",
    0xB3: "symbol", 0xC0: "list", 0xC1: "map", 0xD0: "list", 0xD1: "map",
    0xE0: "array", 0xF0: "array",
}  # fmt: skip
_WIDE = {
    "null": 0x40, "boolean": 0x56, "ubyte": 0x50, "byte": 0x51, "ushort": 0x60, "short": 0x61,
    "uint": 0x70, "int": 0x71, "float": 0x72, "char": 0x73, "decimal32": 0x74, "ulong": 0x80,
    "long": 0x81, "double": 0x82, "timestamp": 0x83, "decimal64": 0x84, "decimal128": 0x94,
    "uuid": 0x98, "binary": 0xB0, "string": 0xB1, "symbol": 0xB3, "list": 0xD0, "map": 0xD1,
    "array": 0xF0,
}  # fmt: skip
_NATIVE = ("null", "boolean", "long", "double", "string", "binary", "list", "map")
_SIGNED = ("byte", "short", "int", "long", "timestamp")
_RAW = ("uuid", "decimal32", "decimal64", "decimal128")
_WIDTHS = (0, 1, 2, 4, 8, 16)  # by the upper half of the constructor, from 4 on


class DecodeError(ValueError):
    """Bytes that are no AMQP; the text says what and where."""


class Typed:
    """A value of the AMQP type `kind`."""

    def __init__(self, kind, value):
        self.kind = kind
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Typed) and (self.kind, self.value) == (other.kind, other.value)

    def __hash__(self):
        return hash((self.kind, self.value))

    def __repr__(self):
        return "Typed(%r, %r)" % (self.kind, self.value)


class Described:
    """A value under a descriptor: a number (ulong) or a name (symbol)."""

    def __init__(self, descriptor, value):
        self.descriptor = descriptor
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Described) and (
            (self.descriptor, self.value) == (other.descriptor, other.value)
        )

    def __hash__(self):
        return hash(self.descriptor)

    def __repr__(self):
        return "Described(%r, %r)" % (self.descriptor, self.value)


# -- encoding ---------------------------------------------------------------------------------


def encode(value, kind=None):
    """The bytes of one value; `kind` says which type a plain value is. ValueError, TypeError."""
    out = bytearray()
    append(out, value, kind)
    return bytes(out)


def append(out, value, kind=None):
    """Append one encoded value to the bytearray `out`."""
    if isinstance(value, Typed):
        kind, value = value.kind, value.value
    elif isinstance(value, Described):
        out.append(0)
        _append_descriptor(out, value.descriptor)
        return append(out, value.value)
    if value is None:
        out.append(0x40)
        return None
    kind = kind or natural(value)
    short = _short(kind, value)
    if short is not None:
        out.extend(short)
        return None
    code = _WIDE["map" if kind == "fields" else kind]
    if code < 0xA0:
        out.append(code)
        out.extend(_fixed(kind, value, _WIDTHS[(code >> 4) - 4]))
        return None
    count, body = _sized(kind, value)
    fits = len(body) + (count is not None) < 256 and (count or 0) < 256 and kind != "array"
    out.append(code - 0x10 if fits else code)
    out.extend(_length(count, body, 1 if fits else 4))
    out.extend(body)
    return None


def _append_descriptor(out, descriptor):
    if isinstance(descriptor, Typed):
        append(out, descriptor)
    else:
        append(out, descriptor, "symbol" if isinstance(descriptor, str) else "ulong")


def natural(value):
    """The AMQP type that a plain Python value has by itself. TypeError."""
    if isinstance(value, bool):
        return "boolean"
    for kind, types in (
        ("long", int),
        ("string", str),
        ("binary", (bytes, bytearray, memoryview)),
        ("map", dict),
        ("list", (list, tuple)),
        ("double", float),
    ):
        if isinstance(value, types):
            return kind
    raise TypeError("AMQP has no type for " + type(value).__name__)


def _short(kind, value):
    """The whole encoding, where it is a constructor and a byte at most; else None."""
    if kind == "boolean":
        return b"\x41" if value else b"\x42"
    if kind in ("uint", "ulong") and 0 <= value < 256:
        long = kind == "ulong"
        return bytes((0x52 + long, value)) if value else bytes((0x43 + long,))
    if kind in ("int", "long") and -128 <= value < 128:
        return bytes((0x54 if kind == "int" else 0x55, value & 0xFF))
    return None


def _length(count, body, width):
    """What stands before a body of variable length: its size, and the count of its elements."""
    if count is None:
        return len(body).to_bytes(width, "big")
    return (len(body) + width).to_bytes(width, "big") + count.to_bytes(width, "big")


def _sized(kind, value):
    """(count of elements, or None for text; the bytes) of a value of variable length."""
    if kind == "binary":
        return None, value
    if kind in ("string", "symbol"):
        raw = value.encode()
        if kind == "symbol" and len(raw) != len(value):
            raise ValueError("a symbol is ASCII")
        return None, raw
    body = bytearray()
    if kind == "array":
        return _append_array(body, value), body
    if kind == "list":
        for item in value:
            append(body, item)
        return len(value), body
    for key, item in value.items():
        append(body, key, "symbol" if kind == "fields" and isinstance(key, str) else None)
        append(body, item)
    return 2 * len(value), body


def _append_array(body, value):
    kind, items = value
    if isinstance(kind, Described):
        body.append(0)
        _append_descriptor(body, kind.descriptor)
        kind = kind.value
    body.append(_WIDE[kind])
    for item in items:
        plain = item.value if isinstance(item, Typed) else item
        if _WIDE[kind] < 0xA0:
            body.extend(_fixed(kind, plain, _WIDTHS[(_WIDE[kind] >> 4) - 4]))
        else:
            count, raw = _sized(kind, plain)
            body.extend(_length(count, raw, 4))
            body.extend(raw)
    return len(items)


def _fixed(kind, value, width):
    if kind in _RAW:
        if len(value) != width:
            raise ValueError("%s is %d bytes" % (kind, width))
        return bytes(value)
    if kind == "float":
        return struct.pack(">f", value)
    if kind == "double":
        return struct.pack(">d", value)
    if kind == "null":
        return b""
    if kind == "char":
        value = ord(value)
    low = -(1 << 8 * width - 1) if kind in _SIGNED else 0
    if not low <= int(value) < (1 << 8 * width) + low:
        raise ValueError("%d is no %s" % (value, kind))
    return (int(value) & (1 << 8 * width) - 1).to_bytes(width, "big")


# -- decoding ---------------------------------------------------------------------------------


class Decoder:
    """Values taken from data[at:end], one after the other."""

    _empty = _MAX_EMPTY

    def __init__(self, data, at=0, end=None, exact=False):
        self.data = memoryview(data)  # so that a long binary is copied once
        self.at = at
        self.end = len(data) if end is None else end
        self.exact = exact

    def more(self):
        return self.at < self.end

    def value(self, depth=0):
        """The next value. DecodeError."""
        code = self._int(1)
        if code:
            return self._of(code, depth)
        return Described(self._descriptor(), self.value(self._deeper(depth)))

    def fail(self, what, before=0):
        raise DecodeError("%s at byte %d" % (what, self.at - before))

    def _descriptor(self):
        code = self._int(1)
        if _KINDS.get(code) not in ("ulong", "symbol"):
            self.fail("a descriptor that is neither ulong nor symbol", 1)
        descriptor = self._of(code, MAX_DEPTH)
        return descriptor.value if isinstance(descriptor, Typed) else descriptor

    def _deeper(self, depth):
        if depth >= MAX_DEPTH:
            self.fail("nested too deeply")
        return depth + 1

    def _claim(self, size):
        """Step over `size` bytes; where they start."""
        start = self.at
        if size > self.end - start:
            self.fail("%d bytes announced, %d left" % (size, self.end - start))
        self.at = start + size
        return start

    def _int(self, width):
        start = self._claim(width)
        return int.from_bytes(self.data[start : start + width], "big")

    def _of(self, code, depth):
        """The value after its constructor."""
        kind = _KINDS.get(code)
        if kind is None:
            self.fail("no type has the constructor 0x%02x" % code, 1)
        group = code >> 4
        if group < 0xA:
            value = self._fixed(code, kind, _WIDTHS[group - 4])
        else:
            width = 4 if group & 1 else 1
            size = self._int(width)
            value = self._text(kind, size) if group < 0xC else self._many(kind, size, width, depth)
        if kind in _RAW or (self.exact and kind not in _NATIVE):
            return Typed(kind, value)
        return value

    def _fixed(self, code, kind, width):
        if width == 0:
            return {0x40: None, 0x41: True, 0x42: False, 0x45: []}.get(code, 0)
        start = self._claim(width)
        raw = bytes(self.data[start : self.at])
        if kind in _RAW:
            return raw
        if kind in ("float", "double"):
            return struct.unpack(">f" if width == 4 else ">d", raw)[0]
        number = int.from_bytes(raw, "big")
        if kind in _SIGNED and raw[0] & 0x80:
            return number - (1 << 8 * width)
        if kind == "boolean":
            if number > 1:
                self.fail("a boolean of %d" % number)
            return number == 1
        if kind == "char":
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                self.fail("no character has the number %d" % number)
            return chr(number)
        return number

    def _text(self, kind, size):
        start = self._claim(size)
        raw = bytes(self.data[start : self.at])
        if kind == "binary":
            return raw
        try:
            text = raw.decode()
        except UnicodeError:
            self.fail("a %s that is no UTF-8" % kind)
        if kind == "symbol" and len(text) != size:
            self.fail("a symbol that is no ASCII")
        return text

    def _many(self, kind, size, width, depth):
        """A list, map or array: its elements must fill exactly its size."""
        depth = self._deeper(depth)
        outer, end = self.end, self._claim(size) + size
        self.at, self.end = end - size, end
        count = self._int(width)
        if kind == "array":
            value = self._array(count, depth)
        elif count > end - self.at:  # an element takes a byte at least
            self.fail("%d elements in %d bytes" % (count, end - self.at))
        elif kind == "list":
            value = [self.value(depth) for _ in range(count)]
        else:
            value = self._map(count, depth)
        if self.at != end:
            self.fail("a %s that ends before its size" % kind)
        self.end = outer
        return value

    def _map(self, count, depth):
        if count & 1:
            self.fail("a map with a key and no value")
        result = {}
        for _ in range(count // 2):
            key = self.value(depth)
            try:
                hash(key)
            except TypeError:
                self.fail("a list or map as a key")
            if key in result:
                self.fail("a map with a key twice")
            result[key] = self.value(depth)
        return result

    def _array(self, count, depth):
        code, descriptor = self._int(1), None
        if code == 0:
            descriptor, code = self._descriptor(), self._int(1)
        room = self.end - self.at
        if code >> 4 == 4:
            room = self._empty
            self._empty -= count
        if count > room:
            self.fail("%d elements in %d bytes" % (count, self.end - self.at))
        items = [self._of(code, depth) for _ in range(count)]
        if not self.exact:
            return items if descriptor is None else [Described(descriptor, i) for i in items]
        items = [item.value if isinstance(item, Typed) else item for item in items]
        kind = _KINDS.get(code)
        return (kind if descriptor is None else Described(descriptor, kind), items)


def decode(data, exact=False):
    """The one value that `data` is. DecodeError."""
    decoder = Decoder(data, exact=exact)
    value = decoder.value()
    if decoder.more():
        decoder.fail("bytes after the value")
    return value
