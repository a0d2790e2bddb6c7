"""Subscriptions that are not answered, not granted, or forgotten by the hub."""

import pytest

from host_tests.support.fault_proxy import device_behind_proxy
from host_tests.support.network_faults import CONNACK, SUBACK, SUBSCRIBE, Cut, Drop, Rewrite

TRANSPORTS = ("mqtt",)
FILTERS = 4  # messages, methods, the twin's answers, desired properties
FORGOTTEN = b"\x20\x02\x00\x00"  # CONNACK: no session present
REFUSED = ["ServiceError", "subscribe", 0x80]


def refusal(data):
    return data[:4] + b"\x80"


async def forget(proxy, then=None):
    """End the connection; the hub has no session on the next one. Then set a fault."""
    forgets = proxy.fault = Rewrite(CONNACK, into=FORGOTTEN)
    proxy.cut()
    await forgets.struck.wait()
    proxy.fault = then


async def all_comes(service, device_id, program):
    """Check that each of the subscriptions works."""
    await service.send_c2d_message(device_id, b"down")
    await program.expect("message", "down")
    await service.patch_twin(device_id, {"properties": {"desired": {"a": 1}}})
    await program.expect("desired")
    assert await service.invoke_method(device_id, "echo", "hello") == (200, "hello")
    await program.tell("twin")
    await program.expect("twin")


def test_subscriptions_are_restored_only_without_a_session(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as made:
            service, device_id, program, proxy = made
            for forgotten in (False, True, False):
                if forgotten:
                    await forget(proxy)
                else:
                    proxy.cut()
                await program.expect("state", False)
                await program.expect("state", True)
                await all_comes(service, device_id, program)
            counts = [proxy.count(SUBSCRIBE, connection=one) for one in (1, 2, 3, 4)]
            assert counts == [FILTERS, 0, FILTERS, 0]

    testbed.run(scenario)


@pytest.mark.parametrize(
    "kind, expected",
    [
        (lambda: Drop(SUBACK), ["OperationTimeout", "subscribe", None]),
        (lambda: Rewrite(SUBACK, into=refusal), REFUSED),
    ],
    ids=["no SUBACK", "refused"],
)
def test_failed_subscription_fails_the_first_connection(testbed, localhost_tls, kind, expected):
    async def scenario():
        options = {"timeout": 1}
        async with device_behind_proxy(
            testbed, localhost_tls, first=kind(), options=options
        ) as made:
            assert await made[2].expect("raised") == expected

    testbed.run(scenario)


@pytest.mark.parametrize("nth", range(1, FILTERS + 1))
def test_refused_subscription_is_requested_again(testbed, localhost_tls, nth):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as made:
            service, device_id, program, proxy = made
            await forget(proxy, Rewrite(SUBACK, nth=nth, into=refusal))
            await program.expect("background", "ConnectionDroppedError")
            assert await program.expect("background") == REFUSED
            await program.expect("state", True)
            await all_comes(service, device_id, program)

    testbed.run(scenario)


def test_subscriptions_survive_a_cut_at_every_byte_of_a_suback(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as made:
            service, device_id, program, proxy = made
            for byte in range(6):
                await forget(proxy, Cut(SUBACK, nth=2, byte=byte))
                await program.expect("state", False)
                await program.expect("state", True)
                await all_comes(service, device_id, program)

    testbed.run(scenario)
