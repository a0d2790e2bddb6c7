"""The hub without its protocols: identities, sessions, twins, messages, methods and events."""

from .core import Core
from .device_session import DeviceSession

__all__ = ["Core", "DeviceSession"]
