"""No secret is ever printed: by the device in any failure, by the hub, or by the tools."""

import base64
import os
import time
from pathlib import Path
from urllib.parse import quote, unquote

from host_tests.support.certificates import Certificate
from host_tests.support.processes import run_tools
from iothub.provisioning import derive_device_key
from iothub.sas import sas_token

PIECE = 10  # so much of a secret in a row is a leak


def key_of(seed):
    """A base64 key that contains + and /."""
    return base64.b64encode(bytes((seed + 5 * i) & 255 | 0x0B for i in range(32))).decode()


def forms(secret):
    """The forms of a secret in a text: itself, percent-encoded, decoded, in hex, as Python prints
    it.
    """
    yield from (secret, quote(secret, safe=""), unquote(secret))
    raw = [secret.encode()]
    try:
        raw.append(base64.b64decode(unquote(secret), validate=True))
    except ValueError:
        raw.append(base64.b64encode(secret.encode()))
        yield raw[1].decode()
    for data in raw:
        yield from (data.hex(), repr(data)[2:-1], data.decode("latin-1"))


def leaks(text, secrets):
    """[(name, where)] of the secrets of which the text contains a part."""
    found = []
    for name, secret in secrets.items():
        for form in set(forms(secret)):
            size = min(PIECE, len(form))
            pieces = (form[at : at + size] for at in range(len(form) - size + 1))
            found += [(name, around(text, piece)) for piece in pieces if piece in text][:1]
    return found


def around(text, piece):
    at = text.index(piece)
    return text[max(0, at - 80) : at + 80]


def test_leak_is_detected():
    secrets = {"key": key_of(3), "password": "päss:w0rd&"}
    raw = base64.b64decode(key_of(3))
    for text in (key_of(3)[4:18], quote(key_of(3), safe=""), raw.hex(), repr(raw), str([raw])):
        assert [name for name, _ in leaks("before " + text + " after", secrets)], text
    assert leaks("sig=" + base64.b64encode("päss:w0rd&".encode()).decode(), secrets)
    assert not leaks("nothing of the kind", secrets)


def signatures(tokens):
    """The signatures of tokens, as secrets."""
    cut = [token.partition("sig=")[2].partition("&")[0] for token in tokens]
    assert all(cut)
    return {f"signature {number}": signature for number, signature in enumerate(cut)}


def mistaken(text, key):
    """Invalid connection strings that contain a key."""
    return [
        key,
        text.replace("SharedAccessKey=", "SharedAccessKey"),
        text.replace("SharedAccessKey=", "SharedAccesKey="),
        text.replace("SharedAccessKey=", ""),
        text.replace(";SharedAccessKey=", ""),
        text + ";" + text,
        text + "!",
        text.replace("DeviceId=", f"DeviceId=/{key}"),
        text + ";x509=" + key,
        text + ";SharedAccessKeyName=" + key,
        text + ";SharedAccessSignature=" + key,
        text.replace("SharedAccessKey=", "SharedAccessSignature="),
        f"{key}={key}",
    ]


async def cast(testbed, service, tmp_path):
    """(the settings of programs/every_feature.py, the secrets in them)"""
    device_id, key = await testbed.new_device(service)
    text = testbed.connection_string(device_id, key)
    shown = Certificate(tmp_path, f"shown-{testbed.name}-{testbed.transport}")
    name = shown.file.stem
    thumbprints = {"primaryThumbprint": shown.thumbprint}
    await service.create_device(
        name, authentication={"type": "selfSigned", "x509Thumbprint": thumbprints}
    )
    group = f"group-{testbed.name}-{testbed.transport}"
    made = await service.enrollments.create(group, group=True)
    group_key = made["attestation"]["symmetricKey"]["primaryKey"]
    wrong, policy = key_of(1), testbed.hub["service_connection_string"].rpartition("Key=")[2]
    host = f"localhost:{testbed.hub[testbed.transport + '_port']}"
    uri, until = f"{host}/devices/{device_id}", time.time() + 3600
    settings = {
        "connection_string": text,
        "device": device_id,
        "wrong connection string": text.replace(key, wrong),
        "sastoken": sas_token(uri, key, until),
        "wrong sastoken": sas_token(uri, wrong, until),
        "x509 device": [host, name, str(shown.file), str(shown.key_file)],
        "registration": [f"localhost:{testbed.hub['mqtt_port']}", f"{group}-1"]
        + [testbed.hub["id_scope"]],
        "group key": group_key,
        "wrong key": wrong,
        "dead port": 1,
        "password": "päss:w0rd&geheim",
        "service": f"HostName={host};SharedAccessKeyName=service;SharedAccessKey={policy}",
        "wrong service": f"HostName={host};SharedAccessKeyName=service;SharedAccessKey={wrong}",
        "https_port": testbed.hub["https_port"],
        "mistaken": mistaken(text, key),
        "tokens": str(tmp_path / "tokens"),
    }
    secrets = {
        "key": key,
        "wrong key": wrong,
        "group key": group_key,
        "derived key": derive_device_key(group_key, f"{group}-1"),
        "policy key": policy,
        "password": settings["password"],
    }
    for number, line in enumerate(shown.key_file.read_text().splitlines()[1:-1]):
        secrets[f"private key {number}"] = line
    secrets.update(signatures([settings["sastoken"], settings["wrong sastoken"]]))
    return settings, secrets


def test_device_and_hub_print_no_secret(testbed, tmp_path):
    async def scenario():
        async with testbed.service() as service:
            settings, secrets = await cast(testbed, service, tmp_path)
            async with testbed.program("every_feature", heap="400wK", **settings) as program:
                await program.expect("end")
                said = "\n".join(
                    words[0] if len(words) == 1 else " ".join(map(str, words))
                    for words in program.said
                )
        tokens = (tmp_path / "tokens").read_text().split("\n")
        assert len(tokens) > 2  # a key's, and those that took its place
        secrets.update(signatures([settings["sastoken"], settings["wrong sastoken"], *tokens]))
        log = (Path(testbed.hub["ca_file"]).parent / "hub.log").read_text()
        for word in ("CredentialError", "Traceback", "debug", "<IoTHubDeviceClient"):
            assert word in said
        assert "refused" in log
        assert leaks(said, secrets) == []
        assert leaks(log, secrets) == []

    testbed.run(scenario)


def refused_by_tools(text):
    """The tools' error messages for an invalid connection string."""
    for variable, *command in (
        ("IOTHUB_CONNECTION_STRING", "sas"),
        ("IOTHUB_SERVICE_CONNECTION_STRING", "service", "query", "SELECT * FROM devices"),
    ):
        done = run_tools(*command, env={**os.environ, variable: text})
        assert done.returncode, command
        yield done.stdout + done.stderr


def test_tools_print_no_secret(hub):
    host, key = f"localhost:{hub['https_port']}", key_of(2)
    text = f"HostName={host};SharedAccessKeyName=service;SharedAccessKey={key}"
    said = []
    for wrong in (key, text + "!", text.replace("Key=", "Key", 2), f"{text};{text}"):
        said += refused_by_tools(wrong)
    environment = {**os.environ, "IOTHUB_SERVICE_CONNECTION_STRING": text}
    done = run_tools("service", "query", "SELECT * FROM devices", env=environment)
    assert done.returncode
    said.append(done.stdout + done.stderr)
    assert leaks("\n".join(said), {"key": key}) == []
