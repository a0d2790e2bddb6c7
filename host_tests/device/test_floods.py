"""More cloud-to-device messages than the heap holds, and a slow handler: none is lost."""

import contextlib

import pytest

INTERPRETERS = ("micropython",)
COUNT = 50  # the most that IoT Hub keeps for a device


@contextlib.asynccontextmanager
async def flooded(testbed, size, heap, seconds, **more):
    """(service, device id, program) of a device for which COUNT messages wait."""
    async with testbed.service() as service:
        device_id, key = await testbed.new_device(service)
        for number in range(COUNT):
            await service.send_c2d_message(device_id, b"x" * size, message_id=str(number))
        settings = {
            "connection_string": testbed.connection_string(device_id, key),
            "heap": heap,
            "seconds": seconds,
            "options": {"timeout": 5, "keep_alive": 10},
            **more,
        }
        async with testbed.program("flood", backoff=[0.1, 1], **settings) as program:
            await program.expect("ready")
            yield service, device_id, program


CASES = {
    "mqtt": [(4000, "96wK"), (1000, "72wK"), (8000, "128wK")],
    "amqp": [(4000, "128wK"), (1000, "112wK"), (8000, "160wK")],
}


@pytest.mark.parametrize("case", range(3))
def test_messages_that_the_heap_does_not_hold_are_all_handled(testbed, case):
    size, heap = CASES[testbed.transport][case]

    async def scenario():
        async with flooded(testbed, size, heap, 0.1) as (service, device_id, program):
            handled = set()
            while len(handled) < COUNT:
                number, length = await program.expect("message")
                assert length == size
                handled.add(number)
            await testbed.waiting(service, device_id, 0)
            # Telemetry went on beside it.
            assert len(await service.local.stored_events(device_id)) > 2

    testbed.run(scenario)


def test_slow_handler_stops_neither_telemetry_nor_answers(testbed):
    """It takes longer than a pause may last."""

    async def scenario():
        heap = {"mqtt": "96wK", "amqp": "160wK"}[testbed.transport]
        async with flooded(testbed, 2000, heap, 6) as (service, device_id, program):
            after = -1
            for _ in range(4):
                (event, *_) = await service.local.stored_events(device_id, after, wait=20)
                after = event["position"]
            assert ["state", False] not in program.said

    testbed.run(scenario)


def test_handler_that_raises_gets_its_messages_again(testbed):
    async def scenario():
        heap = {"mqtt": "96wK", "amqp": "160wK"}[testbed.transport]
        fail = [str(number) for number in range(0, COUNT, 5)]
        more = {"fail": fail}
        async with flooded(testbed, 2000, heap, 0, **more) as (service, device_id, program):
            handled = []
            while len(set(handled)) < COUNT:
                handled.append((await program.expect("message"))[0])
            # Over MQTT they come again with the next connection.
            left = len(fail) if testbed.transport == "mqtt" else 0
            await testbed.waiting(service, device_id, left)
            assert ["state", False] not in program.said

    testbed.run(scenario)
