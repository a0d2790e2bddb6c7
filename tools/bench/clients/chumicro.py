"""chumicro-mqtt, driven as its README says: check() and handle() in a loop that does not pause.

Not by its runner, whose wait() is a select.poll: that finds no descriptor in a socket with TLS
and looks at it each ms only. handle() sends one packet, so one is published for each.
"""

import harness
from chumicro_mqtt import MQTTClient, ProtocolState
from chumicro_sockets.sockets_factory import fixed_connector_factory
from chumicro_timing import ticks_ms
from harness import settings

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
            settings["host"], settings["port"], ssl_context=harness.context()
        ),
        client_id=harness.device,
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
            client.publish(harness.topic, harness.payload, qos=1)
            sent += 1
        tick(client)


client = connect()
harness.measure(send)
