"""X.509 authentication: ECC and RSA keys, PEM and DER, over MQTT and AMQP."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from host_tests.support.certificates import Certificate

KEYS = {
    "ECC": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


def as_der(shown, folder):
    """DER files of the certificate and of the key; the key in OpenSSL's traditional form."""
    certificate, key = folder / "shown.crt.der", folder / "shown.key.der"
    certificate.write_bytes(shown.built.public_bytes(serialization.Encoding.DER))
    key.write_bytes(
        shown._key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return certificate, key


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_device_with_a_certificate_sends_telemetry(testbed, tmp_path, kind, form):
    async def scenario():
        async with testbed.service() as service:
            name = f"x509-{testbed.name}-{testbed.transport}-{kind}-{form}"
            shown = Certificate(tmp_path, name, key=KEYS[kind]())
            thumbprints = {"primaryThumbprint": shown.thumbprint}
            await service.create_device(
                name, authentication={"type": "selfSigned", "x509Thumbprint": thumbprints}
            )
            files = as_der(shown, tmp_path) if form == "DER" else (shown.file, shown.key_file)
            host = f"localhost:{testbed.hub[testbed.transport + '_port']}"
            x509 = [host, name, *map(str, files)]
            async with testbed.program("telemetry", x509=x509) as program:
                await program.expect("sent")
            event = await anext(service.local.telemetry(name))
            assert '"type": "selfSigned"' in event["annotations"]["iothub-connection-auth-method"]

    testbed.run(scenario)


def test_other_certificate_is_refused(testbed, tmp_path):
    async def scenario():
        async with testbed.service() as service:
            name = f"x509-{testbed.name}-{testbed.transport}-wrong"
            shown = Certificate(tmp_path, name)
            await service.create_device(name, authentication={"type": "selfSigned"})
            host = f"localhost:{testbed.hub[testbed.transport + '_port']}"
            x509 = [host, name, str(shown.file), str(shown.key_file)]
            async with testbed.program("connect", x509=x509) as program:
                assert (await program.expect("raised"))[0] == "CredentialError"

    testbed.run(scenario)
