"""The hub itself, which knows no protocol: identities, twins, messages, methods, events."""

from .core import Core

__all__ = ["Core"]
