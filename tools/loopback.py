"""Listening sockets of this machine: both loopback addresses, with the same port.

`localhost` is 127.0.0.1, ::1 or both, in either order, as the resolver has it. Many programs try
only the first address, so a server that is to be found as `localhost` listens on both.
"""

import errno
import socket

NAME = "localhost"
# What the system says where IPv6 is off.
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_ATTEMPTS = 20


def listeners(host, port, backlog=100):
    """Sockets that listen on `host`, all of them on the same port; on a free one if `port` is 0.

    host: "localhost" for 127.0.0.1 and ::1, the latter only where the machine has IPv6; or an
    address or a name, with all its addresses. OSError: an address or the port is not free.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return _bound(_endpoints(host), port, backlog)
        except OSError as error:
            # A free port of one address may be in use on the other.
            if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _endpoints(host):
    """[(family, address, whether it may be missing)]"""
    if host == NAME:
        return [(socket.AF_INET, "127.0.0.1", False), (socket.AF_INET6, "::1", True)]
    found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, place[0], False) for family, _, _, _, place in found))


def _bound(endpoints, port, backlog):
    made = []
    try:
        for family, address, optional in endpoints:
            try:
                one = socket.create_server((address, port), family=family, backlog=backlog)
            except OSError as error:
                if optional and error.errno in _NO_IPV6:
                    continue
                raise
            made.append(one)
            port = port or one.getsockname()[1]
    except BaseException:
        for one in made:
            one.close()
        raise
    return made
