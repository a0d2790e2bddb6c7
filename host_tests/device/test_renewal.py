"""Token renewal without a gap; a failed renewal is tried again and loses nothing."""

import asyncio

TRANSPORTS = ("mqtt", "mqtt-websockets")  # AMQP's: test_amqp_device


def test_token_renewal_loses_no_message(testbed):
    async def scenario():
        async with testbed.device_behind_network(options={"sastoken_ttl": 3}) as made:
            service, device_id, program, network = made
            sent, got = [], set()
            telemetry = service.local.telemetry(device_id)
            while network.server.attempts < 4:  # each token has a connection of its own
                number = len(sent)
                await program.tell("send", f"t{number}")
                await program.expect("sent", f"t{number}")
                sent.append(b"t%d" % number)
                await service.send_c2d_message(device_id, b"c%d" % number)
                await program.expect("message", f"c{number}")
                await service.patch_twin(device_id, {"properties": {"desired": {"n": number}}})
                while (await program.expect("desired"))[0]["n"] != number:
                    pass
                assert await service.invoke_method(device_id, "echo", number) == (200, number)
            while not set(sent) <= got:
                got.add((await anext(telemetry))["body"])
            assert ["state", False] not in program.said
            assert not [words for words in program.said if words[0] == "background"]

    testbed.run(scenario)


def test_failed_renewal_keeps_the_connection_and_is_retried(testbed):
    async def scenario():
        async with testbed.device_behind_network(options={"sastoken_ttl": 6}) as made:
            _, _, program, network = made
            network.server.accepting = False
            assert (await program.expect("background"))[1] in ("tls", "websocket")
            await program.tell("send", "still here")
            await program.expect("sent", "still here")
            network.server.accepting = True
            attempts = network.server.attempts
            while network.server.attempts == attempts:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await program.tell("send", "and after")
            await program.expect("sent", "and after")
            assert ["state", False] not in program.said

    testbed.run(scenario)
