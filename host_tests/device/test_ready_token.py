"""Ready SAS tokens: the program is asked for a new one before the old one expires."""

import asyncio
import time

from iothub.sas import sas_token


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
