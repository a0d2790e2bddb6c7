"""umqtt.simple, as every ESP32 has it: publish() with QoS 1 returns at the PUBACK, so one at a
time whatever the window."""

import ssl
import sys

import harness
from harness import settings
from umqtt.simple import MQTTClient

sys.modules["ussl"] = ssl  # its name when 1.3.4 was new; later ones import ssl

client = MQTTClient(
    harness.device,
    settings["host"],
    settings["port"],
    ssl=True,
    ssl_params={
        "cert_reqs": ssl.CERT_REQUIRED,
        "cadata": harness.authority(),
        "server_hostname": settings["host"],
    },
)
client.connect()


def send(count):
    for _ in range(count):
        client.publish(harness.topic, harness.payload, qos=1)


harness.measure(send)
