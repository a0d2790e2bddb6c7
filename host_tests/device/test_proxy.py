"""MQTT, WebSocket and AMQP through a real HTTP proxy with a password."""

import asyncio
import contextlib
import sys

import pytest

from tools.processes import running

TRANSPORTS = ("mqtt", "amqp-websockets")
PATIENCE = 20


@contextlib.asynccontextmanager
async def proxy(tmp_path, *arguments):
    """The port of a proxy, and its log."""
    port_file, log = tmp_path / "port", tmp_path / "log"
    command = [
        sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0",
        "--port-file", str(port_file), "--log-file", str(log), "--num-workers", "1",
        "--num-acceptors", "1", *arguments,
    ]  # fmt: skip

    async def ready():
        while not (port_file.exists() and port_file.read_text().strip()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async with running(command, terminate=True):
        await asyncio.wait_for(ready(), PATIENCE)
        yield int(port_file.read_text()), log


@pytest.mark.parametrize("secret", ["geheim", "ß:&%"], ids=["plain", "unicode"])
def test_device_connects_through_a_proxy_with_a_password(testbed, tmp_path, secret):
    async def scenario():
        async with (
            proxy(tmp_path, "--basic-auth", f"user:{secret}") as (port, _),
            testbed.device(proxy=["HTTP", "127.0.0.1", port, "user", secret]) as (
                service,
                device_id,
                program,
            ),
        ):
            await program.tell("send", "through")
            await program.expect("sent", "through")
            await service.send_c2d_message(device_id, b"back")
            assert (await program.expect("message"))[0] == "back"

    testbed.run(scenario)


def test_refusals_of_a_proxy_name_their_stage(testbed, tmp_path):
    async def scenario():
        async with (
            testbed.service() as service,
            proxy(tmp_path, "--basic-auth", "u:p") as (port, _),
        ):
            text = testbed.connection_string(*await testbed.new_device(service))
            for given, stage in (
                (["HTTP", "127.0.0.1", port, "u", "wrong"], "proxy"),
                (["HTTP", "127.0.0.1", port], "proxy"),
                (["HTTP", "127.0.0.1", 1], "tcp"),
            ):
                async with testbed.program(
                    "connect", connection_string=text, proxy=given
                ) as program:
                    assert await program.expect("raised") == [
                        "ConnectionFailedError", stage, None
                    ]  # fmt: skip
                    assert not any("wrong" in str(words) for words in program.said)

    testbed.run(scenario)


def test_each_address_of_a_proxy_is_tried(testbed, tmp_path):
    async def scenario():
        async with proxy(tmp_path) as (port, _), testbed.service() as service:
            text = testbed.connection_string(*await testbed.new_device(service))
            async with testbed.program(
                "connect",
                connection_string=text,
                proxy=["HTTP", "proxy.example", port],
                resolver={"proxy.example": ["127.0.0.2", "127.0.0.1"]},
            ) as program:
                await program.expect("connected")

    testbed.run(scenario)
