"""Ready SAS tokens: how they are spelled, and that the program is asked for a new one in time."""

import asyncio
import contextlib
import time

import pytest

from iothub.sas import sas_token
from tools.bench.simulated_network import SimulatedNetwork


class ReadyTokens:
    """Tokens of a new device. port: the one that the program dials."""

    def __init__(self, device_id, key, port):
        self.device_id = device_id
        self.host = f"localhost:{port}"
        self._key = key

    def make(self, life, rest=""):
        return sas_token(
            f"{self.host}/devices/{self.device_id}{rest}", self._key, time.time() + life
        )


@contextlib.asynccontextmanager
async def scene(testbed):
    """(service, ReadyTokens, SimulatedNetwork) of a device behind a network that can be away."""
    async with testbed.service() as service, SimulatedNetwork(testbed.port) as network:
        yield service, ReadyTokens(*await testbed.new_device(service), network.port), network


def test_program_replaces_ready_tokens_before_they_expire(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            front = "https" if testbed.websockets else testbed.transport
            host = f"localhost:{testbed.hub[f'{front}_port']}"
            uri = f"{host}/devices/{device_id}"

            def ready(life, signer=key, resource=uri):
                return sas_token(resource, signer, time.time() + life)

            async with testbed.program("device", sastoken=ready(4)) as program:
                await program.expect("ready")
                await program.expect("sastoken required")
                await program.tell("sastoken", ready(60, resource=uri + "x"))
                assert (await program.expect("error"))[0] == "ValueError"
                await program.tell("sastoken", ready(60, signer="A" * 43 + "="))
                assert (await program.expect("error"))[0] == "CredentialError"
                await program.tell("sastoken", ready(3600))
                await program.expect("renewed")
                until = time.time() + 10  # the first token's life, and the hub's grace
                while time.time() < until:
                    await service.send_c2d_message(device_id, b"there?")
                    await program.expect("message", "there?")
                    await asyncio.sleep(0.2)
                assert ["state", False] not in program.said

    testbed.run(scenario)


def test_token_that_ends_while_the_hub_is_away_is_asked_for_once(testbed):
    async def scenario():
        async with scene(testbed) as (service, tokens, network):
            life = 5
            ended = time.time() + life
            settings = {"sastoken": tokens.make(life), "backoff": [0.05, 0.2]}
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                network.server.accepting = False
                await service.local.cut_connection(tokens.device_id)
                await program.expect("state", False)
                assert ["sastoken required"] not in program.said
                await program.tell("later", ["send", "waited"])
                while time.time() < ended + 1:
                    await program.expect("wait")
                network.server.accepting = True
                await program.expect("sastoken required")
                for _ in range(5):
                    await program.expect("background", "CredentialError")
                await program.tell("sastoken", tokens.make(3600))
                heard = [await program.expect_any("renewed", "sent", "state") for _ in range(3)]
                assert ["sent", "waited"] in heard
                assert ["state", True] in heard
                assert program.said.count(["sastoken required"]) == 1
                event = await anext(service.local.telemetry(tokens.device_id))
                assert event["body"] == b"waited"

    testbed.run(scenario)


def test_handler_brings_the_token_and_the_next_attempt_is_made_at_once(testbed):
    async def scenario():
        async with scene(testbed) as (service, tokens, _):
            settings = {
                "sastoken": tokens.make(-10),
                "next_sastoken": tokens.make(3600),
                "backoff": [60, 60, 1],  # the test does not wait for so long
                "offline": True,
            }
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                await program.tell("later", ["connect retry", None])
                await program.expect("background", "CredentialError")
                await program.expect("connected")
                await program.tell("send", "new")
                await program.expect("sent", "new")
                assert program.said.count(["sastoken required"]) == 1
                assert program.said.count(["renewed"]) == 1

    testbed.run(scenario)


def test_first_connect_with_a_token_that_has_ended(testbed):
    async def scenario():
        async with scene(testbed) as (_, tokens, _):
            settings = {
                "sastoken": tokens.make(-10),
                "next_sastoken": tokens.make(3600),
                "offline": True,
            }
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                await program.tell("connect")
                heard = [await program.expect_any("error", "renewed") for _ in range(2)]
                (error,) = [words for words in heard if words[0] == "error"]
                assert error[1] == "CredentialError"
                await program.tell("connect")
                await program.expect("connected")
                assert program.said.count(["sastoken required"]) == 1

    testbed.run(scenario)


@pytest.mark.parametrize("rest", ["/api-version=2016-11-14", "/"])
def test_resource_may_go_on_behind_the_device(testbed, rest):
    """IoT Hub's documentation shows such a token."""

    async def scenario():
        async with scene(testbed) as (_, tokens, _):
            settings = {"sastoken": tokens.make(600, rest)}
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                await program.tell("sastoken", tokens.make(3600))
                await program.expect("renewed")
                await program.tell("sastoken", tokens.make(7200, rest))
                await program.expect("renewed")
                await program.tell("send", "x")
                await program.expect("sent", "x")

    testbed.run(scenario)


@pytest.mark.parametrize("sasl", ["cbs", "plain"])
def test_token_of_a_policy(testbed, sasl):
    if testbed.transport == "mqtt" and sasl == "plain":
        pytest.skip("MQTT has no SASL")

    async def scenario():
        async with scene(testbed) as (_, tokens, _):
            key = testbed.hub["service_connection_string"].partition("SharedAccessKey=")[2]

            def made(life, resource=tokens.host):
                return sas_token(resource, key, time.time() + life, "device")

            settings = {"sastoken": made(600), "ids": [tokens.device_id]}
            settings["options"] = {"sasl": sasl}
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                await program.tell("send", "x")
                await program.expect("sent", "x")
                await program.tell("sastoken", made(3600))
                await program.expect("renewed")
                await program.tell("sastoken", tokens.make(7200))  # its own, of its own key
                await program.expect("renewed")
                await program.tell("sastoken", made(600, tokens.host + "/devices/other"))
                assert (await program.expect("error"))[0] == "ValueError"

    testbed.run(scenario)
