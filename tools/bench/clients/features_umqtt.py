"""Telemetry, a C2D message, the twin and a direct method, by umqtt.simple and code around it.

It waits for ever where the hub is silent, does not reconnect, and does not renew its token.
"""

import binascii
import hashlib
import json
import ssl
import sys
import time

sys.modules["ussl"] = ssl  # its name when umqtt.simple 1.3.4 was new; later ones import ssl

from umqtt.simple import MQTTClient  # noqa: E402 (it imports ussl)


def quote(text):
    safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
    return "".join([c if c in safe else f"%{ord(c):02X}" for c in text])


def hmac_sha256(key, text):
    key = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes([b ^ 0x36 for b in key]) + text).digest()
    return hashlib.sha256(bytes([b ^ 0x5C for b in key]) + inner).digest()


def sas_token(resource, key, expiry):
    resource = quote(resource)
    digest = hmac_sha256(binascii.a2b_base64(key), f"{resource}\n{expiry}".encode())
    signature = quote(binascii.b2a_base64(digest)[:-1].decode())
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}"


def run(settings, mark):
    host, device = settings["host"], settings["device"]
    seen = {}

    def on_message(topic, payload):
        topic = topic.decode()
        if topic.startswith("$iothub/twin/res/"):
            seen["twin"] = topic.split("/")[3], payload
        elif topic.startswith("$iothub/methods/POST/"):
            rid = topic.split("$rid=")[1]
            client.publish(f"$iothub/methods/res/200/?$rid={rid}", payload)
            seen["method"] = payload
        else:
            seen["message"] = payload

    with open(settings["der"], "rb") as file:
        authority = file.read()
    client = MQTTClient(
        device,
        host,
        settings["port"],
        f"{host}/{device}/?api-version=2021-04-12",
        sas_token(f"{host}/devices/{device}", settings["key"], int(time.time()) + 3600),
        keepalive=60,
        ssl=True,
        ssl_params={
            "cert_reqs": ssl.CERT_REQUIRED,
            "cadata": authority,
            "server_hostname": host,
        },
    )
    client.set_callback(on_message)
    mark("import")
    client.connect(clean_session=False)
    client.subscribe(f"devices/{device}/messages/devicebound/#", 1)
    client.subscribe("$iothub/twin/res/#")
    client.subscribe("$iothub/methods/POST/#")
    mark("connect")
    client.publish(f"devices/{device}/messages/events/", "telemetry", qos=1)
    ask(client, seen, "$iothub/twin/PATCH/properties/reported/?$rid=1", '{"a": 1}')
    twin = json.loads(ask(client, seen, "$iothub/twin/GET/?$rid=2", ""))
    if twin["reported"]["a"] != 1:
        raise ValueError(twin)
    while "message" not in seen or "method" not in seen:
        client.wait_msg()
    mark("use")
    client.disconnect()


def ask(client, seen, topic, body):
    seen.pop("twin", None)
    client.publish(topic, body)
    while "twin" not in seen:
        client.wait_msg()
    status, answer = seen["twin"]
    if int(status) >= 300:
        raise OSError(status)
    return answer
