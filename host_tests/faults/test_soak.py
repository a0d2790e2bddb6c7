"""100,000 messages with a fault every few hundred: no loss, order kept, no heap growth (make
soak).

Run by make soak.
"""

import asyncio
import random

import pytest

from host_tests.support.fault_proxy import proxy_for_device
from host_tests.support.random_faults import random_fault

pytestmark = pytest.mark.soak
TRANSPORTS = ("mqtt",)
STEP = 250
WARM = 5_000
LEVEL = {"micropython": 2048, "cpython": 300}  # bytes, objects


class Arrivals:
    """The hub's events of one device: numbers, whose first arrivals must be in order."""

    def __init__(self):
        self.next = 0
        self.repeated = 0
        self._after = -1

    async def take(self, service, device_id):
        """Read the new events: whether there were any."""
        events = await service.local.stored_events(device_id, self._after)
        for event in events:
            self._after = event["position"]
            if event["annotations"]["iothub-message-source"] != "Telemetry":
                continue
            number = int(event["body"])
            assert number <= self.next, "a message is missing, or was overtaken"
            self.repeated += number < self.next
            self.next += number == self.next
        return bool(events)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("count, kept", [(100_000, False), (20_000, True)])
def test_no_message_is_lost_and_the_heap_does_not_grow(
    testbed, localhost_tls, tmp_path, count, kept
):
    async def scenario():
        rng = random.Random(count)
        settings = {"count": count, "step": STEP, "warm": WARM, "heap": "192wK"}
        if kept:
            settings["outbox"] = {"path": str(tmp_path / "outbox"), "limit": 200_000}
        options = {"timeout": 1, "keep_alive": 2, "operation_timeout": 60}
        arrivals = Arrivals()
        async with proxy_for_device(testbed, localhost_tls) as (service, device_id, key, proxy):
            text = testbed.connection_string(device_id, key, port=proxy.port)
            settings.update(connection_string=text, ca=localhost_tls[1], options=options)
            async with testbed.program("soak", backoff=[0.01, 0.05], **settings) as program:
                held, faults, end = [], [], 0
                while end < count:
                    proxy.fault = random_fault(rng)
                    faults.append(proxy.fault.struck)
                    if rng.random() < 0.2:
                        proxy.cut()
                    word, value = await program.expect_any("held", "at")
                    if word == "held":
                        held.append(value)
                        word, value = await program.expect_any("at")
                    end = value
                    await arrivals.take(service, device_id)
                proxy.fault = None
                await program.expect("end")
            while await arrivals.take(service, device_id):
                pass
        struck = sum(fault.is_set() for fault in faults)
        print(struck, "faults,", proxy.connections, "connections,", arrivals.repeated, "repeated")
        print("held", held)
        assert arrivals.next == count
        assert struck > count // 1000
        assert proxy.connections > struck // 4
        assert 0 < arrivals.repeated < count // 10
        before, after = held
        assert after - before < LEVEL[testbed.name]

    asyncio.run(asyncio.wait_for(scenario(), 1400))
