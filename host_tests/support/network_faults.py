"""The faults of fault_proxy: what happens to a packet from a chosen byte on."""

import asyncio

HANDSHAKE, CONNECT, CONNACK, PUBLISH, PUBACK = 0, 1, 2, 3, 4
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP = 8, 9, 12, 13


class Fault:
    """Strikes the nth packet of its type, counted from now: the first `byte` bytes are passed on
    (negative: all but so many), then the fault happens. A fault strikes once; a lasting one
    strikes every packet of its type from there on, until another fault replaces it.

    packet: a type, or None for any; HANDSHAKE: a flight of the server in TLS's handshake. to_hub:
    the direction, or None for both. struck: an Event; size: of the packet that was struck.
    """

    def __init__(self, packet=None, to_hub=None, nth=1, byte=0, lasting=False):
        self.packet = packet
        self.to_hub = to_hub
        self.nth = nth
        self.byte = byte
        self.lasting = lasting
        self.struck = asyncio.Event()
        self.size = 0

    def awaits(self, packet, to_hub):
        """Whether this is the packet that it strikes."""
        if self.packet not in (None, packet) or self.to_hub not in (None, to_hub):
            return False
        self.nth -= 1
        return self.nth <= 0 if self.lasting else self.nth == 0

    async def strike(self, line, data):
        """Let the fault happen to `data`, a packet on its way."""
        raise NotImplementedError


class Cut(Fault):
    """The connection ends, on both sides, with a FIN."""

    async def strike(self, line, data):
        await line.send(data[: self.byte])
        line.connection.finish()


class Reset(Fault):
    """The connection ends, on both sides, with an RST."""

    async def strike(self, line, data):
        await line.send(data[: self.byte])
        line.connection.reset()


class Silence(Fault):
    """The connection is half open from here on: bytes are read and discarded."""

    async def strike(self, line, data):
        await line.send(data[: self.byte])
        line.connection.mute = True


class Alert(Fault):
    """TLS ends the session with a fatal alert, or with close_notify."""

    def __init__(self, *arguments, fatal=True, **where):
        super().__init__(*arguments, **where)
        self._fatal = fatal

    async def strike(self, line, data):
        await line.send(data[: self.byte])
        await line.connection.device.alert(self._fatal)
        line.connection.mute = True


class Stall(Fault):
    """Nothing passes in this direction until proceed() is called."""

    def __init__(self, *arguments, **where):
        super().__init__(*arguments, **where)
        self._proceed = asyncio.Event()
        self.proceed = self._proceed.set

    async def strike(self, line, data):
        await line.send(data[: self.byte])
        await self._proceed.wait()
        await line.send(data[self.byte :])


class Hold(Stall):
    """The packet waits for proceed(); later packets overtake it."""


class Delay(Fault):
    """The packet, and all that follow, arrive `seconds` later."""

    def __init__(self, *arguments, seconds, **where):
        super().__init__(*arguments, **where)
        self._seconds = seconds

    async def strike(self, line, data):
        await asyncio.sleep(self._seconds)
        await line.send(data)


class Trickle(Fault):
    """The packet arrives one byte at a time, each in a TLS record of its own."""

    async def strike(self, line, data):
        for at in range(len(data)):
            await line.send(data[at : at + 1])


class Drop(Fault):
    """The packet is lost."""

    async def strike(self, line, data):
        pass


class Duplicate(Fault):
    """The packet arrives twice."""

    async def strike(self, line, data):
        await line.send(data * 2)


class Rewrite(Fault):
    """The packet is replaced by `into`: bytes, or a function of its bytes."""

    def __init__(self, *arguments, into, **where):
        super().__init__(*arguments, **where)
        self._into = into if callable(into) else lambda data: into

    async def strike(self, line, data):
        await line.send(self._into(data))
