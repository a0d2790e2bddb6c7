"""File upload from flash to the hub's storage, streamed in a heap that cannot hold the file."""

import hashlib
from pathlib import Path
from urllib.parse import quote

import pytest

from host_tests.support.certificates import Certificate

TRANSPORTS = ("mqtt",)


def blobs(bench):
    """{name: content} of what the hub's storage holds."""
    folder = Path(bench.hub["ca_file"]).parent / "blobs"
    return {path.name: path.read_bytes() for path in folder.glob("*")}


@pytest.mark.parametrize("size", [0, 1, 300_000], ids=["empty", "one", "large"])
def test_file_is_uploaded_from_flash(bench, tmp_path, size):
    content = bytes(hashlib.sha256(b"seed").digest() * (size // 32 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    name = f"dir/grün & {size}.bin"
    found = {}

    async def scenario():
        async with bench.service() as service:
            device_id, key = await bench.new_device(service)
            text = bench.connection_string(device_id, key)
            async with bench.program(
                "upload",
                connection_string=text,
                https_port=bench.hub["https_port"],
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

    bench.run(scenario)
    stored = blobs(bench)
    assert stored["blob-" + quote(f"{found['device']}/{name}", safe="")] == content
    assert stored["blob-" + quote(f"{found['device']}/memory", safe="")] == b"from memory"
    assert not [name for name in stored if name.startswith("part-")]


def test_file_is_uploaded_with_a_certificate(bench, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)

    async def scenario():
        async with bench.service() as service:
            device_id, _ = await bench.new_device(service)
            shown = Certificate(tmp_path, device_id)
            thumbprint = {"primaryThumbprint": shown.thumbprint}
            how = {"type": "selfSigned", "x509Thumbprint": thumbprint}
            await service.update_device(device_id, authentication=how)
            host = f"localhost:{bench.hub['mqtt_port']}"
            async with bench.program(
                "upload",
                x509=[host, device_id, str(shown.file), str(shown.key_file)],
                https_port=bench.hub["https_port"],
                blob="signed",
                file=str(tmp_path / "file"),
            ) as program:
                await program.expect("told")

    bench.run(scenario)


def test_refused_uploads(bench, tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    async def scenario():
        async with bench.service() as service:
            device_id, key = await bench.new_device(service)
            port = bench.hub["https_port"]
            for secret, at, expected in (
                ("A" * 43 + "=", port, ["ServiceError", "upload", 401]),
                (key, 1, ["ConnectionFailedError", "tcp", None]),
            ):
                async with bench.program(
                    "upload",
                    connection_string=bench.connection_string(device_id, secret),
                    https_port=at,
                    blob="refused",
                    file=str(tmp_path / "file"),
                ) as program:
                    assert await program.expect("error") == expected

    bench.run(scenario)
