"""TLS faults of a reconnect: the error is named, and the device recovers."""

import datetime
import ssl
from pathlib import Path

import pytest

from host_tests.support.certificates import Certificate
from host_tests.support.fault_proxy import device_behind_proxy, send_and_wait
from host_tests.support.network_faults import (
    HANDSHAKE,
    PUBACK,
    PUBLISH,
    Alert,
    Cut,
    Reset,
    Rewrite,
    Silence,
)
from tools.hub import certificates

TRANSPORTS = ("mqtt",)
AT_TLS = ["ConnectionFailedError", "tls", None]
DAY = datetime.timedelta(days=1)


def server_hello(minor):
    """A ServerHello of TLS 1.<minor - 1>: ECDHE-RSA-AES128-GCM-SHA256, safe renegotiation."""
    hello = bytes((3, minor)) + bytes(range(32)) + bytes.fromhex("00c02f000005ff01000100")
    hello = b"\x02" + len(hello).to_bytes(3, "big") + hello
    return bytes((22, 3, minor)) + len(hello).to_bytes(2, "big") + hello


HANDSHAKES = {
    "TLS 1.0": lambda: Rewrite(HANDSHAKE, into=server_hello(1), lasting=True),
    "TLS 1.1": lambda: Rewrite(HANDSHAKE, into=server_hello(2), lasting=True),
    "alert": lambda: Rewrite(HANDSHAKE, into=b"\x15\x03\x03\x00\x02\x02\x28", lasting=True),
    "no TLS": lambda: Rewrite(HANDSHAKE, into=b"HTTP/1.1 400 Bad Request\r\n\r\n", lasting=True),
    "cut at once": lambda: Cut(HANDSHAKE, lasting=True),
    "cut in a record's header": lambda: Cut(HANDSHAKE, byte=3, lasting=True),
    "cut in the certificate": lambda: Cut(HANDSHAKE, byte=200, lasting=True),
    "cut before the last byte": lambda: Cut(HANDSHAKE, byte=-1, lasting=True),
    "reset at once": lambda: Reset(HANDSHAKE, lasting=True),
    "reset in the certificate": lambda: Reset(HANDSHAKE, byte=200, lasting=True),
}
SILENCES = {
    "after TCP": lambda: Silence(HANDSHAKE, lasting=True),
    "in the certificate": lambda: Silence(HANDSHAKE, byte=200, lasting=True),
    # As above, but for the version: so it was that which those failed for.
    "after TLS 1.2's ServerHello": lambda: Rewrite(HANDSHAKE, into=server_hello(3), lasting=True),
}


def context_of(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def signed(folder, ca, names=("localhost",), start=None, days=1):
    """A server's SSLContext, with a certificate for `names` that `ca` signed."""
    made = folder / "made.pem", folder / "made.key"
    certificates.make_server(*made, ca, ca.with_suffix(".key"), names, days, start)
    return context_of(*made)


def of_another_ca(folder, ca):
    other = folder / "other.pem"
    certificates.make_ca(other, other.with_suffix(".key"))
    return signed(folder, other)


def self_signed(folder, ca):
    certificate = Certificate(folder, "localhost")
    return context_of(certificate.file, certificate.key_file)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


CERTIFICATES = {
    "unknown CA": of_another_ca,
    "wrong name": lambda folder, ca: signed(folder, ca, ["other.example"]),
    "expired": lambda folder, ca: signed(folder, ca, start=now() - 3 * DAY),
    "not yet valid": lambda folder, ca: signed(folder, ca, start=now() + DAY),
    "self-signed": self_signed,
}


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_untrusted_certificate_is_refused(testbed, localhost_tls, tmp_path, kind):
    """The certificate differs from that of the first connection, as in an attack."""

    async def scenario():
        right, ca = localhost_tls
        async with device_behind_proxy(testbed, localhost_tls) as (_, _, program, proxy):
            proxy.context = CERTIFICATES[kind](tmp_path, Path(ca))
            proxy.cut()
            await program.expect("background", "ConnectionDroppedError", "read")
            assert await program.expect("background") == AT_TLS
            proxy.context = right
            await program.expect("state", True)
            await send_and_wait(program, "after")

    testbed.run(scenario)


@pytest.mark.parametrize("others", [0, 300], ids=["small", "large"])
def test_renewed_certificate_is_accepted(testbed, localhost_tls, tmp_path, others):
    """The large certificate fills most of a TLS record, for which a board has memory."""

    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as (_, _, program, proxy):
            names = ["localhost", *(f"{number:030}.example" for number in range(others))]
            proxy.context = signed(tmp_path, Path(localhost_tls[1]), names)
            proxy.cut()
            assert await program.expect("background") == ["ConnectionDroppedError", "read", None]
            await program.expect("state", True)
            await send_and_wait(program, "after")
            assert proxy.connections == 2

    testbed.run(scenario)


async def handshake_fails(testbed, tls, fault, expected, **options):
    async with device_behind_proxy(testbed, tls, options=options) as (_, _, program, proxy):
        proxy.fault = fault
        proxy.cut()
        await program.expect("background", "ConnectionDroppedError", "read")
        assert await program.expect("background") == expected
        proxy.fault = None
        await program.expect("state", True)
        await send_and_wait(program, "after")


@pytest.mark.parametrize("kind", HANDSHAKES)
def test_failed_handshake_is_named_and_retried(testbed, localhost_tls, kind):
    testbed.run(lambda: handshake_fails(testbed, localhost_tls, HANDSHAKES[kind](), AT_TLS))


@pytest.mark.parametrize("kind", SILENCES)
def test_handshake_that_does_not_end_times_out(testbed, localhost_tls, kind):
    expected = ["OperationTimeout", "tls", None]
    fault = SILENCES[kind]
    testbed.run(lambda: handshake_fails(testbed, localhost_tls, fault(), expected, timeout=1))


@pytest.mark.parametrize("fatal", [True, False], ids=["fatal", "close_notify"])
def test_tls_alert_in_a_session_is_a_lost_connection(testbed, localhost_tls, fatal):
    """The alert comes in place of a PUBACK; the message is sent again."""

    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as (_, _, program, proxy):
            proxy.fault = Alert(PUBACK, to_hub=False, fatal=fatal)
            await send_and_wait(program, "one")
            assert ["background", "ConnectionDroppedError", "read", None] in program.said
            # The twin's GET, and the message.
            assert [proxy.count(PUBLISH, connection=one) for one in (1, 2)] == [2, 2]

    testbed.run(scenario)
