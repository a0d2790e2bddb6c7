"""The MQTT front: devices over MQTT 3.1.1, as IoT Hub speaks it."""

from .connection import Connection, serving

__all__ = ["Connection", "serving"]
