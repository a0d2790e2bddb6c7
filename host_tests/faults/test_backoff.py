"""Reconnect delays: they grow with each attempt, until a connection lasts."""

from host_tests.support.fault_proxy import device_behind_proxy
from host_tests.support.network_faults import PINGREQ, PUBLISH, Cut, Stall

TRANSPORTS = ("mqtt",)


async def delays(program, count):
    return [round((await program.expect("wait"))[0], 3) for _ in range(count)]


def test_delay_doubles_to_the_cap_while_the_hub_is_away(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls, backoff=[0.02, 0.16, 0.5]) as made:
            _, _, program, proxy = made
            proxy.stop_listening()
            proxy.cut()
            assert await delays(program, 6) == [0.01, 0.02, 0.04, 0.08, 0.08, 0.08]
            await proxy.listen()
            await program.expect("state", True)

    testbed.run(scenario)


def test_delay_doubles_while_the_hub_closes_connections_and_resets_afterwards(
    testbed, localhost_tls
):
    async def scenario():
        settings = {"backoff": [1, 60, 0.05], "options": {"keep_alive": 4}}
        async with device_behind_proxy(testbed, localhost_tls, **settings) as made:
            _, _, program, proxy = made
            for expected in (0.05, 0.1):
                proxy.cut()
                assert await delays(program, 1) == [expected]
                await program.expect("state", True)
            # Two pings take 6 s at least, and the ceiling is 4 s.
            lasts = proxy.fault = Stall(PINGREQ, nth=2)
            await lasts.struck.wait()
            lasts.proceed()
            proxy.cut()
            assert await delays(program, 1) == [0.05]

    testbed.run(scenario)


def test_connection_lost_while_the_twin_is_read_counts_as_one_loss(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls, backoff=[1, 60, 0.05]) as made:
            _, _, program, proxy = made
            proxy.fault = Cut(PUBLISH, to_hub=False, lasting=True)
            proxy.cut()
            assert await delays(program, 4) == [0.05, 0.1, 0.2, 0.4]
            assert proxy.connections >= 4  # a delay, a connection

    testbed.run(scenario)
