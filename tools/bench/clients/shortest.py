"""The shortest code that gives the same as iothub's encoders, for valid input."""

import binascii
import hashlib

SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"


def quote(text):
    return "".join([c if c in SAFE else escaped(c) for c in text])


def escaped(text):
    return "".join([f"%{byte:02X}" for byte in text.encode()])


def unquote(text):
    if "%" not in text:
        return text
    parts = text.encode().split(b"%")
    rest = [bytes([int(part[:2], 16)]) + part[2:] for part in parts[1:]]
    return (parts[0] + b"".join(rest)).decode()


def sas_token(resource, key, expiry):
    resource = quote(resource)
    key = binascii.a2b_base64(key)
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key += bytes(64 - len(key))
    signed = f"{resource}\n{expiry}"
    digest = hashlib.sha256(bytes([b ^ 0x36 for b in key]) + signed.encode()).digest()
    digest = hashlib.sha256(bytes([b ^ 0x5C for b in key]) + digest).digest()
    signature = quote(binascii.b2a_base64(digest)[:-1].decode())
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}"


def telemetry(events, properties):
    """properties: {name in the bag: str or None}"""
    bag = [
        quote(name) if value is None else quote(name) + "=" + quote(value)
        for name, value in properties.items()
    ]
    return events + "&".join(bag).encode()


def decode_properties(bag):
    properties = {}
    for part in bag.split("&"):
        name, equals, value = part.partition("=")
        properties[unquote(name)] = unquote(value) if equals else None
    return properties
