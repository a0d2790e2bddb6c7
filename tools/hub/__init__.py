"""The local hub: IoT Hub's behaviour on this machine, written from docs/protocol.

app puts the hub together, command runs it. The fronts (mqtt, amqp, rest) call the core; the core
knows no protocol, and no SQL leaves it. Of the firmware the hub imports the wire format of AMQP
alone, so that a wrong encoder cannot agree with itself.
"""

# The ports that the hub listens on unless told otherwise.
DEFAULT_PORTS = {"mqtt": 8883, "amqp": 5671, "amqp_plain": 5672, "https": 443}


def host_name(front, port):
    """localhost as a connection string names it: with the port, unless it is the default one."""
    return "localhost" if port == DEFAULT_PORTS[front] else f"localhost:{port}"
