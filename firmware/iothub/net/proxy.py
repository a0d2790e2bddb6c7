"""An HTTP proxy between the device and the hub: a tunnel by CONNECT. TLS goes through it."""

import binascii
import errno

from ..compat import wait_for
from ..errors import ConnectionFailedError, TransportError

_MAX_HEAD = 4096
# A TCP connection that failed says so at the first write, with one of these.
_AT_TCP = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT)


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
        """tunnel() over a stream of MicroPython's, which is closed if there will be none."""

        async def send(data):
            plain.write(data)
            await plain.drain()

        try:
            await wait_for(self.tunnel(host, port, send, plain.read), timeout, "proxy")
        except BaseException as error:
            plain.close()
            if isinstance(error, OSError) and not isinstance(error, TransportError):
                stage = "tcp" if error.args and error.args[0] in _AT_TCP else "proxy"
                raise ConnectionFailedError("the proxy is not to be had", stage)
            raise

    async def tunnel(self, host, port, send, receive):
        """Ask for a tunnel to host:port; send(bytes) and receive(size) are coroutine functions.

        ConnectionFailedError at proxy. Nothing of what follows the proxy's answer is read.
        """
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
