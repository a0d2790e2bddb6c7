"""A renewal by a second connection that cannot be made: the first one goes on."""

import asyncio

from gate import gated

TRANSPORTS = ("mqtt", "mqtt-websockets")


def test_a_renewal_that_fails_drops_nothing_and_is_tried_again(bench):
    async def scenario():
        async with gated(bench, options={"sastoken_ttl": 6}) as (_, _, program, gate):
            gate.open = False
            assert (await program.expect("background"))[1] in ("tls", "websocket")
            await program.tell("send", "still here")
            await program.expect("sent", "still here")
            gate.open = True
            knocks = gate.knocks
            while gate.knocks == knocks:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await program.tell("send", "and after")
            await program.expect("sent", "and after")
            assert ["state", False] not in program.said

    bench.run(scenario)
