"""Errors of connect(): one exception with its stage, and no hang."""

import contextlib
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tools.hub import certificates
from tools.sas import token
from tools.tcp_server import TcpServer

TRANSPORTS = ("mqtt",)


async def outcome(testbed, **settings):
    """[error's name, stage, code] of programs/connect.py, or ["connected"]."""
    settings.setdefault("options", {"timeout": 2})
    async with testbed.program("connect", **settings) as program:
        while True:
            words = await program.expect_any("connected", "raised")
            return words[1:] if words[0] == "raised" else words


async def silence(reader, writer):
    """Read, and never answer."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass
    writer.close()


def test_correct_settings_connect(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
        cs = testbed.connection_string(device_id, key)
        assert await outcome(testbed, connection_string=cs) == ["connected"]

    testbed.run(scenario)


@pytest.mark.parametrize("form", ["PEM text", "DER file", "PEM file"])
def test_root_certificate_as_text_or_file(testbed, form, tmp_path):
    pem = Path(testbed.hub["ca_file"]).read_bytes()
    der = tmp_path / "ca.der"
    der.write_bytes(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    ca = {"PEM text": pem.decode(), "DER file": str(der), "PEM file": testbed.hub["ca_file"]}[form]

    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
        cs = testbed.connection_string(device_id, key)
        assert await outcome(testbed, connection_string=cs, ca=ca) == ["connected"]

    testbed.run(scenario)


def test_built_in_roots_do_not_trust_another_ca(testbed):
    async def scenario():
        cs = testbed.connection_string("any", "AAAA")
        assert await outcome(testbed, connection_string=cs, ca=None) == [
            "ConnectionFailedError",
            "tls",
            None,
        ]

    testbed.run(scenario)


def test_certificate_of_another_host_is_refused(testbed, tmp_path):
    async def scenario():
        ca, ca_key = tmp_path / "ca.pem", tmp_path / "ca.key"
        certificates.make_ca(ca, ca_key)
        certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
        certificates.make_server(certificate, key, ca, ca_key, ["elsewhere.example"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        async with TcpServer(silence, context) as server:
            cs = testbed.connection_string("any", "AAAA", port=server.port)
            result = await outcome(testbed, connection_string=cs, ca=str(ca))
        assert result == ["ConnectionFailedError", "tls", None]

    testbed.run(scenario)


def test_wrong_key_is_a_credential_error(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, _ = await testbed.new_device(service)
        cs = testbed.connection_string(device_id, "AAAA")
        assert await outcome(testbed, connection_string=cs) == ["CredentialError", "connack", 5]

    testbed.run(scenario)


def test_unknown_device_is_a_credential_error(testbed):
    async def scenario():
        cs = testbed.connection_string("nobody", "AAAA")
        assert await outcome(testbed, connection_string=cs) == ["CredentialError", "connack", 5]

    testbed.run(scenario)


def test_disabled_device_is_a_credential_error(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service, status="disabled")
        cs = testbed.connection_string(device_id, key)
        assert await outcome(testbed, connection_string=cs) == ["CredentialError", "connack", 5]

    testbed.run(scenario)


@pytest.mark.parametrize("lifetime, expected", [(600, "connected"), (-600, "CredentialError")])
def test_ready_token(testbed, lifetime, expected):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
        host = f"HostName=localhost;DeviceId={device_id};"
        sas = token(f"{host}SharedAccessKey={key}", int(time.time()) + lifetime)
        cs = f"HostName=localhost:{testbed.hub['mqtt_port']};DeviceId={device_id}"
        result = await outcome(testbed, connection_string=f"{cs};SharedAccessSignature={sas}")
        assert result[0] == expected

    testbed.run(scenario)


def test_refused_tcp_connection(testbed):
    async def scenario():
        async with TcpServer(silence) as server:
            pass
        cs = testbed.connection_string("any", "AAAA", port=server.port)
        assert (await outcome(testbed, connection_string=cs))[:2] == [
            "ConnectionFailedError",
            "tcp",
        ]

    testbed.run(scenario)


def test_unknown_host(testbed):
    async def scenario():
        cs = testbed.connection_string("any", "AAAA", host="no-such-host.invalid")
        assert (await outcome(testbed, connection_string=cs))[:2] == [
            "ConnectionFailedError",
            "dns",
        ]

    testbed.run(scenario)


def test_missing_tls_handshake_times_out(testbed):
    async def scenario():
        async with TcpServer(silence) as server:
            cs = testbed.connection_string("any", "AAAA", port=server.port)
            result = await outcome(testbed, connection_string=cs)
        assert result[:2] == ["OperationTimeout", "tls"]

    testbed.run(scenario)


def test_missing_connack_times_out(testbed, localhost_tls):
    async def scenario():
        context, ca = localhost_tls
        async with TcpServer(silence, context) as server:
            cs = testbed.connection_string("any", "AAAA", port=server.port)
            result = await outcome(testbed, connection_string=cs, ca=ca)
        assert result[:2] == ["OperationTimeout", "connack"]

    testbed.run(scenario)


@pytest.mark.parametrize(
    "answer, expected",
    [
        (b"\x20\x02\x00\x01", ["ServiceError", "connack", 1]),
        (b"\x20\x02\x00\x02", ["CredentialError", "connack", 2]),
        (b"\x20\x02\x00\x03", ["ConnectionFailedError", "connack", None]),
        (b"\x20\x02\x00\x04", ["CredentialError", "connack", 4]),
        (b"\x20\x02\x00\x05", ["CredentialError", "connack", 5]),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ["ProtocolError", "read", None]),
        (b"", ["ConnectionDroppedError", "read", None]),
    ],
    ids=["1", "2", "3", "4", "5", "garbage", "close"],
)
def test_refusing_connack_is_an_error_with_its_code(testbed, localhost_tls, answer, expected):
    async def refuse(reader, writer):
        await reader.read(4096)
        writer.write(answer)
        writer.close()

    async def scenario():
        context, ca = localhost_tls
        async with TcpServer(refuse, context) as server:
            cs = testbed.connection_string("any", "AAAA", port=server.port)
            assert await outcome(testbed, connection_string=cs, ca=ca) == expected

    testbed.run(scenario)
