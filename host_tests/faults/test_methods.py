"""Direct methods: two at once, and a connection lost before the answer."""

import asyncio

PATIENT = {"handler_timeout": 60}


def test_two_concurrent_calls_get_their_own_answers(testbed):
    async def scenario():
        async with testbed.device(options=PATIENT) as (service, device_id, program):
            calls = [
                asyncio.create_task(service.invoke_method(device_id, "held", number))
                for number in (1, 2)
            ]
            for _ in calls:
                await program.expect("method", "held")
            assert not any(call.done() for call in calls)
            await program.tell("let go")
            assert await asyncio.gather(*calls) == [(200, 1), (200, 2)]

    testbed.run(scenario)


def test_connection_lost_before_the_answer(testbed):
    async def scenario():
        async with testbed.device_behind_network(options=PATIENT) as made:
            service, device_id, program, network = made
            call = asyncio.create_task(service.invoke_method(device_id, "held", 1))
            await program.expect("method", "held")
            network.server.accepting = False
            await service.local.cut_connection(device_id)
            await program.expect("state", False)
            await program.tell("let go")
            dropped = ["ConnectionDroppedError", "method"]
            assert (await program.expect("background", *dropped))[2] is None
            call.cancel()
            network.server.accepting = True
            await program.expect("state", True)
            assert await service.invoke_method(device_id, "echo", 2) == (200, 2)
            told = [words for words in program.said if words[:3] == ["background", *dropped]]
            assert len(told) == 1

    testbed.run(scenario)
