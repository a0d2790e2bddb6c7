"""Update of the trusted root certificates: a third one, kept once it has proved itself.

So a fleet can be moved to another CA from afar: send the certificate, by a message or the twin,
while the old one still holds.
"""

import os

from ..compat import wait_for
from . import client_context
from .opening import open_stream
from .root_certificates import UPDATED, load, place

_TIMEOUT = 20


async def update_root(client, certificate, hostname, port=443):
    """Keep `certificate` (PEM or DER) as the third root, in place of the one before.

    It has proved itself once it alone vouches for the TLS server at hostname:port, such as a
    server that has the new CA's certificate already. ConnectionFailedError, OperationTimeout: it
    has not, and nothing changes; ValueError: it is no certificate, or more than one. The client
    uses it from its next connection on.
    """
    found = list(load(certificate))
    if len(found) != 1:
        raise ValueError("give one root certificate")
    context = client_context(found[0])
    stream = await open_stream(hostname, port, context, _TIMEOUT)
    try:
        # The handshake may be left to the first write; what is written does not matter.
        await wait_for(stream.write(b"\r\n"), _TIMEOUT, stream.stage)
    finally:
        stream.close()
    _save(found[0])
    client.reload_roots()


def _save(certificate):
    # Written aside, so that a power cut leaves the old one or the new one.
    with open(place("new.der"), "wb") as file:
        file.write(certificate)
    os.rename(place("new.der"), place(UPDATED))


def forget_root(client):
    """Go back to the two that are built in."""
    try:
        os.remove(place(UPDATED))
    except OSError:
        pass  # there was none
    client.reload_roots()


def reload_roots(supervisor):
    """The client's method: read the root certificates again, for the next connection."""
    options = supervisor.options
    context = client_context(options["server_verification_cert"], options["x509"])
    supervisor.transport.context = context
