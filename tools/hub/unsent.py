"""How much waits to be sent, in every Python."""


def unsent(writer):
    """Bytes that `writer` has taken and the peer has not."""
    try:
        return writer.transport.get_write_buffer_size()
    except AttributeError:  # Python 3.10's TLS, once the connection is lost and not yet closed
        return 0
