"""TLS byte streams: client_context() and open_stream(), as the interpreter at hand has them."""

import sys

if sys.implementation.name == "micropython":
    from .stream import client_context, open_stream  # noqa: F401
else:
    from .stream_cpython import client_context, open_stream  # noqa: F401
