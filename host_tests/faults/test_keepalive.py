"""A dead link: an unanswered ping ends the connection; unacknowledged messages are sent again."""

import pytest

from host_tests.support.fault_proxy import device_behind_proxy, send_and_wait
from host_tests.support.network_faults import PINGREQ, PINGRESP, PUBACK, PUBLISH, Drop, Silence

TRANSPORTS = ("mqtt",)
UNANSWERED = ["OperationTimeout", "ping", None]


@pytest.mark.parametrize(
    "kind",
    [
        lambda: Drop(PINGRESP),
        lambda: Silence(PINGRESP),
        lambda: Silence(PINGREQ),
    ],
    ids=["no PINGRESP", "half open from the hub", "half open to the hub"],
)
def test_unanswered_ping_ends_the_connection(testbed, localhost_tls, kind):
    """A ping is sent after three quarters of a keep-alive and waits for half of one. One ping
    without a second one shows that the device gave up within one and a half (see
    iothub/test_keepalive).
    """

    async def scenario():
        options = {"keep_alive": 2}
        async with device_behind_proxy(testbed, localhost_tls, options=options) as made:
            _, _, program, proxy = made
            proxy.fault = kind()
            assert await program.expect("background") == UNANSWERED
            await program.expect("state", True)
            assert proxy.count(PINGREQ, connection=1) == 1
            await send_and_wait(program, "after")

    testbed.run(scenario)


@pytest.mark.parametrize(
    "packet, to_hub, count", [(PUBLISH, True, 1), (PUBACK, False, 2)], ids=["message", "PUBACK"]
)
def test_half_open_connection_is_detected_within_a_message(
    testbed, localhost_tls, packet, to_hub, count
):
    """The message is sent again on the next connection; the hub may have it twice."""

    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls, options={"keep_alive": 2}) as made:
            service, device_id, program, proxy = made
            proxy.fault = Silence(packet, to_hub=to_hub, byte=1)
            await send_and_wait(program, "one")
            assert ["background", *UNANSWERED] in program.said
            bodies = [event["body"] for event in await service.local.stored_events(device_id)]
            assert bodies.count(b"one") == count

    testbed.run(scenario)
