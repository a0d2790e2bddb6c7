"""AMQP's performatives, outcomes and the like: lists whose places have names and types.

decode() checks each field's type, so that whoever reads one need not. Source: AMQP 1.0, parts
2 (transport), 3 (messaging) and 5 (security).
"""

from .codec import DecodeError, Decoder, Described, Typed, append

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
ERROR = 0x1D
RECEIVED, ACCEPTED, REJECTED, RELEASED, MODIFIED, SOURCE, TARGET = range(0x23, 0x2A)
MECHANISMS, INIT, CHALLENGE, RESPONSE, OUTCOME = range(0x40, 0x45)
HEADER, PROPERTIES = 0x70, 0x73

# A field is name:type, and ! where it must be there. `fields` is a map of symbols, `symbols` one
# symbol or an array of them, `id` a message id, `*` anything.
_CAPABILITIES = " offered_capabilities:symbols desired_capabilities:symbols properties:fields"
_TERMINUS = (
    "address:* durable:uint expiry_policy:symbol timeout:uint dynamic:boolean"
    " dynamic_node_properties:fields"
)
_SCHEMAS = {
    OPEN: "container_id:string! hostname:string max_frame_size:uint channel_max:ushort"
    " idle_time_out:uint outgoing_locales:symbols incoming_locales:symbols" + _CAPABILITIES,
    BEGIN: "remote_channel:ushort next_outgoing_id:uint! incoming_window:uint!"
    " outgoing_window:uint! handle_max:uint" + _CAPABILITIES,
    ATTACH: "name:string! handle:uint! role:boolean! snd_settle_mode:ubyte rcv_settle_mode:ubyte"
    " source:* target:* unsettled:map incomplete_unsettled:boolean initial_delivery_count:uint"
    " max_message_size:ulong" + _CAPABILITIES,
    FLOW: "next_incoming_id:uint incoming_window:uint! next_outgoing_id:uint!"
    " outgoing_window:uint! handle:uint delivery_count:uint link_credit:uint available:uint"
    " drain:boolean echo:boolean properties:fields",
    TRANSFER: "handle:uint! delivery_id:uint delivery_tag:binary message_format:uint"
    " settled:boolean more:boolean rcv_settle_mode:ubyte state:* resume:boolean aborted:boolean"
    " batchable:boolean",
    DISPOSITION: "role:boolean! first:uint! last:uint settled:boolean state:* batchable:boolean",
    DETACH: "handle:uint! closed:boolean error:*",
    END: "error:*",
    CLOSE: "error:*",
    ERROR: "condition:symbol! description:string info:fields",
    RECEIVED: "section_number:uint! section_offset:ulong!",
    ACCEPTED: "",
    REJECTED: "error:*",
    RELEASED: "",
    MODIFIED: "delivery_failed:boolean undeliverable_here:boolean message_annotations:fields",
    SOURCE: _TERMINUS + " distribution_mode:symbol filter:fields default_outcome:*"
    " outcomes:symbols capabilities:symbols",
    TARGET: _TERMINUS + " capabilities:symbols",
    MECHANISMS: "sasl_server_mechanisms:symbols!",
    INIT: "mechanism:symbol! initial_response:binary hostname:string",
    CHALLENGE: "challenge:binary!",
    RESPONSE: "response:binary!",
    OUTCOME: "code:ubyte! additional_data:binary",
    HEADER: "durable:boolean priority:ubyte ttl:uint first_acquirer:boolean delivery_count:uint",
    PROPERTIES: "message_id:id user_id:binary to:* subject:string reply_to:* correlation_id:id"
    " content_type:symbol content_encoding:symbol absolute_expiry_time:timestamp"
    " creation_time:timestamp group_id:string group_sequence:uint reply_to_group_id:string",
}
_NAMES = {
    "open": OPEN, "begin": BEGIN, "attach": ATTACH, "flow": FLOW, "transfer": TRANSFER,
    "disposition": DISPOSITION, "detach": DETACH, "end": END, "close": CLOSE, "error": ERROR,
    "received": RECEIVED, "accepted": ACCEPTED, "rejected": REJECTED, "released": RELEASED,
    "modified": MODIFIED, "source": SOURCE, "target": TARGET, "sasl-mechanisms": MECHANISMS,
    "sasl-init": INIT, "sasl-challenge": CHALLENGE, "sasl-response": RESPONSE,
    "sasl-outcome": OUTCOME, "header": HEADER, "properties": PROPERTIES,
}  # fmt: skip
_BITS = {"ubyte": 8, "ushort": 16, "uint": 32, "ulong": 64}
_parsed = {}  # code: (names, types), parsed when first met
_words = {}  # each name and type once, however many composites have it


class Composite:
    """One of the above; every field is an attribute, None where nothing was said."""

    def __init__(self, descriptor, **fields):
        self.descriptor = descriptor
        for name in schema(descriptor)[0]:
            setattr(self, name, fields.pop(name, None))
        if fields:
            raise TypeError("%s has no %s" % (name_of(descriptor), ", ".join(fields)))

    def __repr__(self):
        return "<%s>" % name_of(self.descriptor)  # not its fields: a token may be among them


def name_of(code):
    """The name of a composite, for a message."""
    for name, known in _NAMES.items():
        if known == code:
            return name
    return "composite 0x%02x" % code


def schema(code):
    """(names, types) of the fields; a type ends with ! where the field must be there."""
    fields = _parsed.get(code)
    if fields is None:
        pairs = [word.split(":") for word in _SCHEMAS[code].split()]
        names, kinds = ([_words.setdefault(pair[i], pair[i]) for pair in pairs] for i in (0, 1))
        fields = _parsed[code] = (tuple(names), tuple(kinds))
    return fields


def error_of(condition, description):
    """An error, as it is sent."""
    return Composite(ERROR, condition=condition, description=description)


def append_composite(out, composite):
    """Append the encoded composite to the bytearray `out`.

    Every field is there, in a list8 or list32: azure-eventhub's decoder knows no shorter form.
    """
    body = bytearray()
    fields, kinds = schema(composite.descriptor)
    for i, name in enumerate(fields):
        _append_field(body, getattr(composite, name), kinds[i])
    out.extend(bytes((0, 0x53, composite.descriptor)))
    if len(body) < 255:
        out.extend(bytes((0xC0, len(body) + 1, len(fields))))
    else:
        out.append(0xD0)
        out.extend((len(body) + 4).to_bytes(4, "big"))
        out.extend(len(fields).to_bytes(4, "big"))
    out.extend(body)


def _append_field(body, value, kind):
    kind = kind.rstrip("!")
    if isinstance(value, Composite):
        append_composite(body, value)
    elif kind == "symbols" and isinstance(value, (list, tuple)):
        append(body, Typed("array", ("symbol", value)))
    elif kind == "symbols":
        append(body, value, "symbol")
    elif kind == "id":
        append(body, value, "ulong" if isinstance(value, int) else None)
    else:
        append(body, value, None if kind == "*" else kind)


def composite_of(value, wanted=None):
    """The Composite that a Described is; another value as it is.

    DecodeError: it is none of `wanted` (a tuple of codes), or a field is not as it must be.
    """
    code = None
    if isinstance(value, Described):
        code = value.descriptor
        if isinstance(code, str):
            code = _NAMES.get(code[5:-5] if code[:5] + code[-5:] == "amqp::list" else "")
    if wanted is not None and code not in wanted:
        raise DecodeError("no %s" % " nor ".join([name_of(one) for one in wanted]))
    return value if code not in _SCHEMAS else _filled(code, value.value)


def _filled(code, values):
    fields, kinds = schema(code)
    if not isinstance(values, list) or len(values) > len(fields):
        _refuse(code, "is no list, or has too many fields")
    composite = Composite(code)
    for i, name in enumerate(fields):
        value = values[i] if i < len(values) else None
        kind = kinds[i].rstrip("!")
        if value is None:
            if kind != kinds[i]:
                _refuse(code, "has no " + name)
        elif not _fits(value, kind):
            _refuse(code, "%s is no %s" % (name, kind))
        else:
            setattr(composite, name, composite_of(value) if kind == "*" else value)
    return composite


def _refuse(code, what):
    raise DecodeError("%s: %s" % (name_of(code), what))


def _fits(value, kind):
    bits = _BITS.get(kind)
    if bits:
        return type(value) is int and 0 <= value < 1 << bits
    if kind in ("string", "symbol"):
        return isinstance(value, str)
    if kind == "symbols":
        return isinstance(value, str) or (
            isinstance(value, list) and all(isinstance(one, str) for one in value)
        )
    if kind in ("map", "fields"):
        return isinstance(value, dict)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "binary":
        return isinstance(value, bytes)
    if kind == "timestamp":
        return type(value) is int
    if kind == "id":
        return isinstance(value, (str, bytes, Typed)) or (type(value) is int and value >= 0)
    return True


def decode_composite(data, at=0, end=None, wanted=None):
    """(Composite, where it ended) of the bytes from `at` on. DecodeError."""
    decoder = Decoder(data, at, end)
    value = decoder.value()
    return composite_of(value, wanted), decoder.at
