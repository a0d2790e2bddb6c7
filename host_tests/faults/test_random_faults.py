"""Random faults from fixed seeds, with messages both ways: each message arrives."""

import random

import pytest

from host_tests.support.fault_proxy import device_behind_proxy
from host_tests.support.random_faults import random_fault

TRANSPORTS = ("mqtt",)
FAULTS = 30


@pytest.mark.parametrize("seed", [1, 2])
def test_messages_arrive_in_order_despite_random_faults(testbed, localhost_tls, seed):
    async def scenario():
        rng = random.Random(seed)
        options = {"timeout": 1, "keep_alive": 2}
        settings = {"options": options, "backoff": [0.01, 0.05]}
        async with device_behind_proxy(testbed, localhost_tls, **settings) as made:
            service, device_id, program, proxy = made
            up, down = [], []
            for number in range(FAULTS):
                proxy.fault = random_fault(rng)
                if rng.random() < 0.3:
                    proxy.cut()
                down.append(f"{number}")
                await service.send_c2d_message(device_id, down[-1].encode())
                await program.tell("send batch", [f"{number} ", 3])
                await program.expect("sent")
                up += [f"{number} {part}" for part in range(3)]
            proxy.fault = None
            await testbed.waiting(service, device_id, 0)
            await program.tell("send", "the last")
            await program.expect("sent", "the last")
            events = [
                event["body"].decode() for event in await service.local.stored_events(device_id)
            ]
            arrived = [text for text in events if text[0] != "{"]
            assert list(dict.fromkeys(arrived)) == [*up, "the last"]
            handled = [words[1] for words in program.said if words[0] == "message"]
            assert list(dict.fromkeys(handled)) == down

    testbed.run(scenario)
