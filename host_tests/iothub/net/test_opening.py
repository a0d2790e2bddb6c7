"""iothub.net: which of a host's addresses is taken, and the error when none answers."""

import asyncio
import errno

from iothub.compat import Future
from iothub.errors import ConnectionFailedError, OperationTimeout
from iothub.net import dial
from iothub.net.opening import first_connected

IPV4, IPV6 = 2, 10


def outcome(*answers, timeout=20):
    """(what first_connected() gives or raises, the addresses that were tried).

    answers: for each address its family, and a value, an OSError, or None for silence.
    """
    tried = []

    async def connect(address):
        tried.append(address[4])
        answer = answers[address[4]][1]
        if answer is None:
            await Future()
        if isinstance(answer, Exception):
            raise answer
        return answer

    addresses = [(family, 1, 6, "", at) for at, (family, _) in enumerate(answers)]
    try:
        result = asyncio.run(first_connected("hub.example", 8883, addresses, connect, timeout))
    except OSError as error:
        result = error
    return result, tried


def test_first_address_that_answers_is_taken():
    assert outcome((IPV4, "one"), (IPV4, "two")) == ("one", [0])
    refused = OSError(errno.ECONNREFUSED)
    assert outcome((IPV6, refused), (IPV4, "two"), (IPV4, "three")) == ("two", [0, 1])


def test_address_after_a_silent_one_is_tried():
    answers = (IPV6, None), (IPV4, None), (IPV4, "three")
    assert outcome(*answers, timeout=0.1) == ("three", [0, 1, 2])


def test_error_says_what_each_address_answered():
    refused, reset = OSError(errno.ECONNREFUSED), OSError(errno.ECONNRESET)
    error, tried = outcome((IPV6, refused), (IPV4, reset))
    assert type(error) is ConnectionFailedError
    assert error.stage == "tcp"
    assert str(error) == "tcp: hub.example:8883: IPv6 ECONNREFUSED, IPv4 ECONNRESET"
    assert tried == [0, 1]


def test_silence_of_all_addresses_is_a_timeout():
    error, tried = outcome((IPV4, None), (IPV6, None), timeout=0.1)
    assert type(error) is OperationTimeout
    assert error.stage == "tcp"
    assert str(error) == "tcp: hub.example:8883: IPv4 no answer, IPv6 no answer"
    assert tried == [0, 1]


def test_port_that_is_not_named_is_the_protocols_or_that_of_https():
    opened = []

    async def open_stream(host, port, context, timeout, proxy):
        opened.append(port)
        raise ConnectionFailedError("refused", "tcp")

    async def main():
        for websockets, port in ((False, None), (True, None), (False, 5), (True, 5)):
            options = {"timeout": 1, "websockets": websockets, "proxy_options": None}
            from iothub.net import opening  # dial() gives it back each time

            original, opening.open_stream = opening.open_stream, open_stream
            try:
                await dial(options, None, "h", port, 8883, "mqtt")
            except ConnectionFailedError:
                pass
            finally:
                opening.open_stream = original

    asyncio.run(main())
    assert opened == [8883, 443, 5, 5]
