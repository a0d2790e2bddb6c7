"""Late, wrong, repeated and lost PUBACKs, and slow links: each message arrives."""

from host_tests.support.fault_proxy import device_behind_proxy, send_and_wait
from host_tests.support.network_faults import (
    PUBACK,
    PUBLISH,
    Delay,
    Drop,
    Duplicate,
    Hold,
    Rewrite,
    Stall,
    Trickle,
)

TRANSPORTS = ("mqtt",)
NO_ANSWER = ["OperationTimeout", "puback", None]


async def bodies(service, device_id):
    """The bodies of the telemetry at the hub, in order."""
    events = [event["body"].decode() for event in await service.local.stored_events(device_id)]
    return [body for body in events if body[0] != "{"]  # that is what the hub itself tells


def test_message_without_puback_is_sent_again(testbed, localhost_tls):
    async def scenario():
        options = {"timeout": 2}
        async with device_behind_proxy(testbed, localhost_tls, options=options) as made:
            service, device_id, program, proxy = made
            proxy.fault = Drop(PUBACK, to_hub=False)
            await send_and_wait(program, "one")
            assert ["background", *NO_ANSWER] in program.said
            assert await bodies(service, device_id) == ["one", "one"]
            assert proxy.connections == 2

    testbed.run(scenario)


def test_puback_with_another_id_is_ignored(testbed, localhost_tls):
    async def scenario():
        options = {"timeout": 2}
        async with device_behind_proxy(testbed, localhost_tls, options=options) as made:
            service, device_id, program, proxy = made
            proxy.fault = Rewrite(PUBACK, to_hub=False, into=b"\x40\x02\xab\xcd")
            await send_and_wait(program, "one")
            assert ["background", *NO_ANSWER] in program.said
            assert await bodies(service, device_id) == ["one", "one"]

    testbed.run(scenario)


def test_late_puback_delays_no_other_message(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as made:
            service, device_id, program, proxy = made
            held = proxy.fault = Hold(PUBACK, to_hub=False)
            await program.tell("later", ["send", "one"])
            await held.struck.wait()
            await send_and_wait(program, "two")
            held.proceed()
            await program.expect("sent", "one")
            assert await bodies(service, device_id) == ["one", "two"]
            assert proxy.connections == 1

    testbed.run(scenario)


def test_puback_of_a_cancelled_message_is_ignored(testbed, localhost_tls):
    async def scenario():
        options = {"operation_timeout": 2}
        async with device_behind_proxy(testbed, localhost_tls, options=options) as made:
            _, _, program, proxy = made
            held = proxy.fault = Hold(PUBACK, to_hub=False)
            await program.tell("send", "one")
            assert await program.expect("error") == NO_ANSWER
            held.proceed()
            await send_and_wait(program, "two")
            assert proxy.connections == 1

    testbed.run(scenario)


def test_repeated_puback_is_ignored(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as made:
            service, device_id, program, proxy = made
            proxy.fault = Duplicate(PUBACK, to_hub=False, lasting=True)
            for text in "abc":
                await send_and_wait(program, text)
            assert await bodies(service, device_id) == ["a", "b", "c"]
            assert proxy.connections == 1

    testbed.run(scenario)


def test_stalled_link_that_recovers_keeps_the_connection(testbed, localhost_tls):
    async def scenario():
        async with device_behind_proxy(testbed, localhost_tls) as made:
            service, device_id, program, proxy = made
            for to_hub in (True, False):
                stalled = proxy.fault = Stall(PUBLISH if to_hub else PUBACK, to_hub, byte=3)
                await program.tell("later", ["send", f"{to_hub}"])
                await stalled.struck.wait()
                stalled.proceed()
                await program.expect("sent", f"{to_hub}")
            assert await bodies(service, device_id) == ["True", "False"]
            assert proxy.connections == 1

    testbed.run(scenario)


def test_link_that_delivers_single_bytes_keeps_the_connection(testbed, localhost_tls):
    """TLS's handshake arrives in single bytes, too."""

    async def scenario():
        slow = Trickle(lasting=True)
        async with device_behind_proxy(testbed, localhost_tls, first=slow) as made:
            service, device_id, program, proxy = made
            await program.expect("ready")
            await send_and_wait(program, "one")
            await service.send_c2d_message(device_id, b"down")
            await program.expect("message", "down")
            await program.tell("report", {"a": 1})
            await program.expect("reported")
            assert await bodies(service, device_id) == ["one"]
            assert proxy.connections == 1

    testbed.run(scenario)


def test_slow_link_keeps_the_connection(testbed, localhost_tls):
    """Each packet takes longer than the hub's answer; the client's deadline is 1 s."""

    async def scenario():
        options = {"timeout": 1, "keep_alive": 4}
        async with device_behind_proxy(testbed, localhost_tls, options=options) as made:
            service, device_id, program, proxy = made
            proxy.fault = Delay(seconds=0.2, lasting=True)
            for text in "abc":
                await send_and_wait(program, text)
            await service.send_c2d_message(device_id, b"down")
            await program.expect("message", "down")
            await testbed.waiting(service, device_id, 0)
            assert await bodies(service, device_id) == ["a", "b", "c"]
            assert proxy.connections == 1

    testbed.run(scenario)
