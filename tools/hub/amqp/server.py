"""Listening for AMQP, with TLS and without."""

from ..listener import listening
from .connection import Connection


def serving(core, host, port, contexts=None, redirect_port=None):
    """An async context manager that listens for devices and services; its value is the port.

    contexts: None for a port without TLS. redirect_port: the port where events are read, if it is
    another one.
    """

    def make_connection(reader, writer, chain):
        events_port = redirect_port or writer.get_extra_info("sockname")[1]
        return Connection(core, reader, writer, chain, events_port)

    return listening(host, port, contexts, make_connection)
