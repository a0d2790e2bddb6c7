"""Telemetry by umqtt.simple: publish() with QoS 1 returns at the PUBACK, so one at a time."""

import ssl
import sys

import telemetry
from program import authority, settings
from umqtt.simple import MQTTClient

sys.modules["ussl"] = ssl  # its name when 1.3.4 was new; later ones import ssl

client = MQTTClient(
    telemetry.device,
    settings["host"],
    settings["port"],
    ssl=True,
    ssl_params={
        "cert_reqs": ssl.CERT_REQUIRED,
        "cadata": authority(),
        "server_hostname": settings["host"],
    },
)
client.connect()


def send(count):
    for _ in range(count):
        client.publish(telemetry.topic, telemetry.payload, qos=1)


telemetry.measure(send)
