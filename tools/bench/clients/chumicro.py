"""Telemetry by chumicro-mqtt, as its README says: check() and handle() in a loop without pause.

Its runner is not used: its wait() is a select.poll, which finds no descriptor in a socket with TLS
and looks at it each ms only. handle() sends one packet, so one message is published for each.
"""

import telemetry
from chumicro_mqtt import MQTTClient, ProtocolState
from chumicro_sockets.sockets_factory import fixed_connector_factory
from chumicro_timing import ticks_ms
from program import context, settings

window = settings["window"]
acknowledged = 0


def count_one(topic, payload):
    global acknowledged
    acknowledged += 1


def tick(client):
    now = ticks_ms()
    if client.check(now):
        client.handle(now)
    if client.state == ProtocolState.FAILED:
        raise client.last_error


def connect():
    client = MQTTClient(
        transport_factory=fixed_connector_factory(
            settings["host"], settings["port"], ssl_context=context()
        ),
        client_id=telemetry.device,
        max_tx_queue_size=max(20, window),
    )
    client.on_publish = count_one
    client.connect()
    while client.state != ProtocolState.CONNECTED:
        tick(client)
    return client


def send(count):
    global acknowledged
    acknowledged = sent = 0
    while acknowledged < count:
        if sent < count and sent - acknowledged < window:
            client.publish(telemetry.topic, telemetry.payload, qos=1)
            sent += 1
        tick(client)


client = connect()
telemetry.measure(send)
