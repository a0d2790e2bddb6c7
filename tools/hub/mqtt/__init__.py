"""The MQTT front: devices over MQTT 3.1.1, as IoT Hub speaks it.

server listens; connection reads packets and judges CONNECT (login); device_session does what a
connected device asks, registration what a device asks of DPS; topics and packets are the encoding.
"""

from .connection import Connection
from .server import serving

__all__ = ["Connection", "serving"]
