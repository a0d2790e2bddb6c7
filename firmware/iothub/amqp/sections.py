"""An AMQP message: its sections, encoded and decoded. Source: AMQP 1.0, part 3.2."""

from .codec import DecodeError, Decoder, Described, append
from .composites import HEADER, PROPERTIES, Composite, append_composite, composite_of

_DELIVERY, _MESSAGE, _APPLICATION = 0x71, 0x72, 0x74
DATA, SEQUENCE, VALUE = 0x75, 0x76, 0x77
_FOOTER = 0x78
_MAPS = {
    _DELIVERY: "delivery_annotations",
    _MESSAGE: "annotations",
    _APPLICATION: "application",
    _FOOTER: "footer",
}
_SYMBOLS = {
    "header:list": HEADER, "delivery-annotations:map": _DELIVERY,
    "message-annotations:map": _MESSAGE, "properties:list": PROPERTIES,
    "application-properties:map": _APPLICATION, "data:binary": DATA,
    "amqp-sequence:list": SEQUENCE, "amqp-value:*": VALUE, "footer:map": _FOOTER,
}  # fmt: skip


class AmqpMessage:
    """header and properties are Composites or None, the four maps dicts.

    body: bytes for DATA, a list of lists for SEQUENCE, any value for VALUE; body_kind says which.
    parts: the sections the body came in; format: the transfer's message-format.
    """

    def __init__(self, body=b"", body_kind=DATA, **properties):
        self.header = None
        self.delivery_annotations = {}
        self.annotations = {}
        self.properties = Composite(PROPERTIES, **properties) if properties else None
        self.application = {}
        self.footer = {}
        self.body = body
        self.body_kind = body_kind
        self.parts = None
        self.format = 0

    def encode(self):
        """The message's bytes."""
        head, body = self.parts_to_send()
        return bytes(head) + bytes(body)

    def parts_to_send(self):
        """The message's bytes in two parts, of which the second is a data body as it is."""
        out = bytearray()
        if self.header is not None:
            append_composite(out, self.header)
        _append_map(out, _DELIVERY, self.delivery_annotations, "fields")
        _append_map(out, _MESSAGE, self.annotations, "fields")
        if self.properties is not None:
            append_composite(out, self.properties)
        _append_map(out, _APPLICATION, self.application, "map")
        if self.body_kind == SEQUENCE:
            for items in self.body:
                append(out, Described(SEQUENCE, items))
        elif self.body_kind == DATA and not self.footer:
            size = len(self.body)
            out.extend(bytes((0, 0x53, DATA, 0xA0 if size < 256 else 0xB0)))
            out.extend(size.to_bytes(1 if size < 256 else 4, "big"))
            return out, self.body
        else:
            out.extend(bytes((0, 0x53, self.body_kind)))
            append(out, self.body)
        _append_map(out, _FOOTER, self.footer, "fields")
        return out, b""


def _append_map(out, code, values, kind):
    if values:
        out.extend(bytes((0, 0x53, code)))
        append(out, values, kind)


def decode_message(data, exact=False):
    """The AmqpMessage that `data` is. DecodeError.

    exact: the values of maps and of the body keep their types (codec.Typed) where Python's do not.
    """
    message = AmqpMessage()
    parts = None
    decoder = Decoder(data)
    last = 0
    while decoder.more():
        code, value = _section(decoder, exact)
        # Sections come in order; only data and sequences may come again.
        if code < last or (code == last and code not in (DATA, SEQUENCE)):
            decoder.fail("section 0x%02x out of place" % code)
        last = code
        if code in _MAPS:
            setattr(message, _MAPS[code], _checked(value, dict, decoder))
        elif code == HEADER:
            message.header = composite_of(Described(code, value))
        elif code == PROPERTIES:
            message.properties = composite_of(Described(code, value))
        elif parts is not None and code != message.body_kind:
            decoder.fail("a second kind of body")
        else:
            message.body_kind = code
            parts = parts or []
            if code != VALUE:
                _checked(value, bytes if code == DATA else list, decoder)
            parts.append(value)
    if parts is None:
        return message  # azure-eventhub's requests have no body at all
    message.parts = parts
    if message.body_kind == DATA:
        message.body = parts[0] if len(parts) == 1 else b"".join(parts)
    else:
        message.body = parts if message.body_kind == SEQUENCE else parts[0]
    return message


def correlation_of(head):
    """The correlation id of a message of which no more than `head` is there, or None."""
    decoder = Decoder(head)
    try:
        while decoder.more():
            code, value = _section(decoder, False)
            if code == PROPERTIES:
                return composite_of(Described(code, value)).correlation_id
    except DecodeError:
        pass  # it ends here
    return None


def _section(decoder, exact):
    """(code, value) of the next section; what it holds is exact, its keys never are."""
    at = decoder.at
    section = decoder.value()
    code = section.descriptor if isinstance(section, Described) else None
    if isinstance(code, str):
        code = _SYMBOLS.get(code[5:])
    if code not in _MAPS and code not in (HEADER, PROPERTIES, DATA, SEQUENCE, VALUE):
        decoder.fail("no section of a message")
    value = section.value
    if exact and code not in (HEADER, PROPERTIES, DATA):
        precise = Decoder(decoder.data, at, decoder.at, exact=True).value().value
        if code in _MAPS and isinstance(precise, dict):
            precise = dict(zip(value, precise.values()))
        value = precise
    return code, value


def _checked(value, kind, decoder):
    if not isinstance(value, kind):
        decoder.fail("a section of the wrong type")
    return value
