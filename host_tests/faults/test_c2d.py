"""C2D messages: a slow handler, and a connection cut before the acknowledgement."""

PATIENT = {"handler_timeout": 60}


def test_slow_handler_delays_other_c2d_messages_only(testbed):
    async def scenario():
        async with testbed.device(options=PATIENT) as (service, device_id, program):
            await program.tell("hold", "slow")
            await program.expect("holding")
            await service.send_c2d_message(device_id, b"slow")
            await service.send_c2d_message(device_id, b"next")
            await program.expect("message", "slow")
            await program.tell("send", "meanwhile")
            await program.expect("sent", "meanwhile")
            assert await service.invoke_method(device_id, "echo", 1) == (200, 1)
            await testbed.waiting(service, device_id, 2)
            assert ["message", "next"] not in [words[:2] for words in program.said]
            await program.tell("let go")
            await program.expect("done", "slow")
            await program.expect("message", "next")
            await testbed.waiting(service, device_id, 0)
            assert ["state", False] not in program.said

    testbed.run(scenario)


def test_unacknowledged_message_is_redelivered_after_a_cut(testbed):
    async def scenario():
        async with testbed.device(options=PATIENT) as (service, device_id, program):
            await program.tell("hold", "one")
            await program.expect("holding")
            for body in (b"one", b"two", b"three"):
                await service.send_c2d_message(device_id, body)
            await program.expect("message", "one")
            await service.local.cut_connection(device_id)
            await program.expect("state", True)
            await program.tell("let go")
            for text in ("one", "two", "three"):
                await program.expect("message", text)
            await testbed.waiting(service, device_id, 0)

    testbed.run(scenario)
