"""120 tokens of 3 s, in place of an hour of tokens of 30 s: nothing is lost, refused or leaked
(make soak).
"""

import asyncio

import pytest

pytestmark = pytest.mark.soak

TRANSPORTS = ("mqtt",)
LIVES, LIFE = 120, 3
LONG = 900


@pytest.mark.timeout(LONG + 60)
def test_client_survives_120_short_tokens(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            text = testbed.connection_string(device_id, key)
            async with testbed.program(
                "short_tokens", connection_string=text, life=LIFE, lives=LIVES
            ) as program:
                await program.expect("ready")
                asked = answered = 0
                heap = []
                while True:
                    words = await program.expect_any("lives", "sent", "background", "state")
                    assert words[0] not in ("background",), program.said[-5:]
                    assert words != ["state", False] or heap and heap[-1][0] == LIVES
                    if words[0] == "sent":
                        break
                    if words[0] == "lives":
                        heap.append(words[1:])
                        asked += 1
                        await service.send_c2d_message(device_id, b"c%d" % asked)
                        if words[1] < LIVES:
                            answered += await answer(service, device_id, asked)
                count, received = words[1:]
            bodies = set()
            events = service.local.telemetry(device_id)
            while len(bodies) < count:
                bodies.add(int((await anext(events))["body"]))
            assert bodies == set(range(1, count + 1))
            assert answered == LIVES // 10 - 1
            assert received >= LIVES // 10 - 1
            first, last = heap[1][1], heap[-1][1]
            assert last <= first * 1.02 + 1024, heap

    async def answer(service, device_id, asked):
        return await service.invoke_method(device_id, "m", asked) == (200, asked)

    asyncio.run(asyncio.wait_for(scenario(), LONG))
