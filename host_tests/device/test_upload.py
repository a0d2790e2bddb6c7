"""File upload from flash to the hub's storage, streamed in a heap that cannot hold the file."""

import hashlib
from pathlib import Path
from urllib.parse import quote

import pytest

from host_tests.support.certificates import Certificate

TRANSPORTS = ("mqtt",)


def blobs(testbed):
    """{name: content} of the files in the hub's storage."""
    folder = Path(testbed.hub["ca_file"]).parent / "blobs"
    return {path.name: path.read_bytes() for path in folder.glob("*")}


@pytest.mark.parametrize("size", [0, 1, 300_000], ids=["empty", "one", "large"])
def test_file_is_uploaded_from_flash(testbed, tmp_path, size):
    content = bytes(hashlib.sha256(b"seed").digest() * (size // 32 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    name = f"dir/grün & {size}.bin"
    found = {}

    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            text = testbed.connection_string(device_id, key)
            async with testbed.program(
                "upload",
                connection_string=text,
                https_port=testbed.hub["https_port"],
                blob=name,
                file=str(tmp_path / "file"),
                heap="100wK",
            ) as program:
                await program.expect("end")
            keys = ["blobName", "containerName", "correlationId", "hostName", "sasToken"]
            assert program.said == [
                ["uploaded"], ["uploaded"], ["place", keys], ["told"],
                ["error", "ServiceError", "upload", 404], ["end"],
            ]  # fmt: skip
            found["device"] = device_id

    testbed.run(scenario)
    stored = blobs(testbed)
    assert stored["blob-" + quote(f"{found['device']}/{name}", safe="")] == content
    assert stored["blob-" + quote(f"{found['device']}/memory", safe="")] == b"from memory"
    assert not [name for name in stored if name.startswith("part-")]


def test_file_is_uploaded_with_a_certificate(testbed, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)

    async def scenario():
        async with testbed.service() as service:
            device_id, _ = await testbed.new_device(service)
            shown = Certificate(tmp_path, device_id)
            thumbprint = {"primaryThumbprint": shown.thumbprint}
            how = {"type": "selfSigned", "x509Thumbprint": thumbprint}
            await service.update_device(device_id, authentication=how)
            host = f"localhost:{testbed.hub['mqtt_port']}"
            async with testbed.program(
                "upload",
                x509=[host, device_id, str(shown.file), str(shown.key_file)],
                https_port=testbed.hub["https_port"],
                blob="signed",
                file=str(tmp_path / "file"),
            ) as program:
                await program.expect("told")

    testbed.run(scenario)


def test_refused_uploads(testbed, tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            port = testbed.hub["https_port"]
            for secret, at, expected in (
                ("A" * 43 + "=", port, ["ServiceError", "upload", 401]),
                (key, 1, ["ConnectionFailedError", "tcp", None]),
            ):
                async with testbed.program(
                    "upload",
                    connection_string=testbed.connection_string(device_id, secret),
                    https_port=at,
                    blob="refused",
                    file=str(tmp_path / "file"),
                ) as program:
                    assert await program.expect("error") == expected

    testbed.run(scenario)
