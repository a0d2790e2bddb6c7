"""An HTTP proxy between the device and the hub: a tunnel by CONNECT. TLS goes through it."""

import binascii

from ..compat import wait_for
from ..errors import ConnectionFailedError, TransportError, reason

_MAX_HEAD = 4096


class ProxyOptions:
    """proxy_type: "HTTP", the one kind there is. The names are those of azure.iot.device."""

    def __init__(
        self, proxy_type, proxy_addr, proxy_port, proxy_username=None, proxy_password=None
    ):
        if proxy_type != "HTTP":
            raise ValueError('proxy_type is "HTTP"')
        for text in (proxy_addr, proxy_username or "", proxy_password or ""):
            if any(ord(c) < 32 for c in text):
                raise ValueError("a control character in proxy_options")
        self.address = proxy_addr, int(proxy_port)
        self._user = proxy_username
        self._password = proxy_password

    def __repr__(self):
        return "<ProxyOptions %s:%d>" % self.address

    async def open(self, plain, host, port, timeout):
        """tunnel() over a stream of MicroPython's, whose connection stands."""

        async def send(data):
            plain.write(data)
            await plain.drain()

        await self.tunnel(host, port, timeout, send, plain.read)

    async def tunnel(self, host, port, timeout, send, receive):
        """Ask for a tunnel to host:port; send(bytes) and receive(size) are coroutine functions.

        ConnectionFailedError or OperationTimeout at proxy. Nothing of what follows the proxy's
        answer is read.
        """
        try:
            await wait_for(self._ask(host, port, send, receive), timeout, "proxy")
        except TransportError:
            raise
        except OSError as error:
            raise ConnectionFailedError("the proxy hangs up: " + reason(error), "proxy")

    async def _ask(self, host, port, send, receive):
        place = "%s:%d" % (host, port)
        request = "CONNECT %s HTTP/1.1\r\nHost: %s\r\n" % (place, place)
        if self._user is not None:
            pair = "%s:%s" % (self._user, self._password or "")
            secret = binascii.b2a_base64(pair.encode())[:-1].decode()
            request += "Proxy-Authorization: Basic " + secret + "\r\n"
        await send((request + "\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = await receive(1)
            if not byte or len(head) > _MAX_HEAD:
                raise ConnectionFailedError("the proxy does not answer HTTP", "proxy")
            head += byte
        status = head.split(b" ", 2)[1:2]
        if status != [b"200"]:
            said = status[0][:3].decode() if status and status[0].isdigit() else "no HTTP"
            raise ConnectionFailedError("the proxy answers %s" % said, "proxy")
