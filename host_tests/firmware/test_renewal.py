"""Tokens that end: renewed without a gap, and a renewal that fails costs nothing yet."""

import asyncio
import time

from gate import gated

from iothub.sas import sas_token

TRANSPORTS = ("mqtt", "amqp", "mqtt-websockets")


def test_tokens_are_renewed_and_nothing_is_lost(bench):
    async def scenario():
        async with gated(bench, options={"sastoken_ttl": 3}) as (
            service,
            device_id,
            program,
            gate,
        ):
            sent, got = [], set()
            telemetry = service.telemetry(device_id)
            until = time.monotonic() + 12  # four lives, and the hub's grace
            while time.monotonic() < until:
                number = len(sent)
                await program.tell("send", f"t{number}")
                await program.expect("sent", f"t{number}")
                sent.append(b"t%d" % number)
                await service.send_c2d(device_id, b"c%d" % number)
                await program.expect("message", f"c{number}")
                await service.patch_twin(device_id, {"properties": {"desired": {"n": number}}})
                while (await program.expect("desired"))[0]["n"] != number:
                    pass
                assert await service.invoke_method(device_id, "echo", number) == (200, number)
            while not set(sent) <= got:
                got.add((await anext(telemetry))["body"])
            assert ["state", False] not in program.said
            assert not [words for words in program.said if words[0] == "background"]
            if bench.transport == "mqtt":
                assert gate.knocks > 3

    bench.run(scenario)


def test_ready_token_and_its_successors(bench):
    async def scenario():
        async with bench.service() as service:
            device_id, key = await bench.new_device(service)
            front = "https" if bench.websockets else bench.transport
            host = f"localhost:{bench.hub[f'{front}_port']}"
            uri = f"{host}/devices/{device_id}"

            def ready(life, signer=key, resource=uri):
                return sas_token(resource, signer, time.time() + life)

            async with bench.program("device", sastoken=ready(6)) as program:
                await program.expect("ready")
                await program.expect("sastoken required")
                await program.tell("sastoken", ready(60, resource=uri + "x"))
                assert (await program.expect("error"))[0] == "ValueError"
                await program.tell("sastoken", ready(60, signer="A" * 43 + "="))
                assert (await program.expect("error"))[0] == "CredentialError"
                await program.tell("sastoken", ready(3600))
                await program.expect("renewed")
                until = time.time() + 12  # the first token's life, and the hub's grace
                while time.time() < until:
                    await service.send_c2d(device_id, b"there?")
                    await program.expect("message", "there?")
                    await asyncio.sleep(0.2)
                assert ["state", False] not in program.said

    bench.run(scenario)
