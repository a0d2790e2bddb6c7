"""Token handover: the connection with the new token is cut before it replaces the first one."""

import asyncio
import itertools
import time

import pytest

from host_tests.support.fault_proxy import QUICK, proxy_for_device
from host_tests.support.network_faults import CONNACK, CONNECT, Cut, Reset
from iothub.sas import sas_token

TRANSPORTS = ("mqtt",)
PATIENCE = 20
BYTES = {CONNECT: (0, 1, 2, 3, 12, 100, -1), CONNACK: (0, 1, 2, 3, 4)}


@pytest.mark.parametrize("packet", BYTES, ids=["CONNECT", "CONNACK"])
def test_messages_in_flight_arrive_in_order_when_the_handover_is_cut(
    testbed, localhost_tls, packet
):
    async def scenario():
        async with proxy_for_device(testbed, localhost_tls) as (service, device_id, key, proxy):
            uri = f"localhost:{proxy.port}/devices/{device_id}"
            token = sas_token(uri, key, time.time() + 600)
            settings = {"ca": localhost_tls[1], "sastoken": token, **QUICK}
            async with testbed.program("device", **settings) as program:
                await program.expect("ready")
                sent = []
                for byte, kind in itertools.product(BYTES[packet], (Cut, Reset)):
                    fault = proxy.fault = kind(packet, byte=byte)
                    batch = f"{byte} {kind.__name__} "
                    await program.tell("later", ["send batch", [batch, 8]])
                    await program.tell("sastoken", token)
                    await program.tell("send batch", [batch + "behind ", 8])
                    # Acknowledged in one turn of the loop, either may be told first.
                    told = [await program.expect("sent") for _ in range(2)]
                    assert sorted(told) == [[[batch, 8]], [[batch + "behind ", 8]]]
                    # By the next attempt at the latest, where the cut before took this one along.
                    await asyncio.wait_for(fault.struck.wait(), PATIENCE)
                    sent += [f"{batch}{number}" for number in range(8)]
                    sent += [f"{batch}behind {number}" for number in range(8)]
            events = [
                event["body"].decode() for event in await service.local.stored_events(device_id)
            ]
            assert list(dict.fromkeys(text for text in events if text[0] != "{")) == sent
            # Without its CONNECT the hub knows of no other connection, and ends none.
            assert (["state", False] in program.said) == (packet == CONNACK)

    testbed.run(scenario)
