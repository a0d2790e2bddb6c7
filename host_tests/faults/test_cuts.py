"""Connections cut at every byte of a message and of its PUBACK, in both directions: each message
arrives at least once, in order.
"""

import itertools

import pytest

from host_tests.support.fault_proxy import device_behind_proxy
from host_tests.support.network_faults import PUBACK, PUBLISH, Cut, Reset

TRANSPORTS = ("mqtt",)
# Nothing but the messages is to be a PUBLISH; and many reconnects need not take long.
SETTINGS = {"options": {"ensure_desired_properties": False}, "backoff": [0.01, 0.02]}


def in_order(texts):
    """`texts` without repetitions."""
    return list(dict.fromkeys(texts))


def cuts(proxy, packet, to_hub, nth=1):
    """Set a fault at each byte of such a packet in turn, and after it; yield the byte's index."""
    for byte, kind in zip(itertools.count(), itertools.cycle((Cut, Reset)), strict=False):
        fault = proxy.fault = kind(packet, to_hub=to_hub, nth=nth, byte=byte)
        yield byte
        assert fault.struck.is_set()
        if byte == fault.size:
            return


@pytest.mark.parametrize("packet, to_hub", [(PUBLISH, True), (PUBACK, False)], ids=["out", "ack"])
def test_telemetry_survives_a_cut_at_every_byte(testbed, localhost_tls, packet, to_hub):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls, **SETTINGS) as made:
            service, device_id, program, proxy = made
            sent = []
            for byte in cuts(proxy, packet, to_hub, nth=2):
                await program.tell("send batch", [f"{byte} ", 3])
                await program.expect("sent")
                sent += [f"{byte} {number}" for number in range(3)]
            events = [
                event["body"].decode() for event in await service.local.stored_events(device_id)
            ]
            arrived = [text for text in events if text[0].isdigit()]  # not what the hub tells
            assert in_order(arrived) == sent
            assert proxy.connections == len(sent) // 3 + 1

    testbed.run(scenario)


@pytest.mark.parametrize("packet, to_hub", [(PUBLISH, False), (PUBACK, True)], ids=["in", "ack"])
def test_c2d_message_survives_a_cut_at_every_byte(testbed, localhost_tls, packet, to_hub):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls, **SETTINGS) as made:
            service, device_id, program, proxy = made
            sent = []
            for byte in cuts(proxy, packet, to_hub):
                for part in "ab":
                    sent.append(f"{byte} {part}")
                    await service.send_c2d_message(device_id, sent[-1].encode())
                await program.expect("message", sent[-1])
                await testbed.waiting(service, device_id, 0)
            handled = [words[1] for words in program.said if words[0] == "message"]
            assert in_order(handled) == sent
            assert proxy.connections == len(sent) // 2 + 1

    testbed.run(scenario)
