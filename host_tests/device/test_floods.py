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


@pytest.mark.parametrize("case", range(2))
def test_flood_of_desired_changes_at_qos_0_ends_with_the_last_one(testbed, case):
    """Nothing acknowledges them, and the handler raises at each."""
    heap = {"mqtt": ["96wK", "128wK"], "amqp": ["128wK", "160wK"]}[testbed.transport][case]
    count = 150

    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            settings = {
                "connection_string": testbed.connection_string(device_id, key),
                "heap": heap,
                "seconds": 0.02,
                "desired": True,
                "options": {"timeout": 5, "keep_alive": 10},
            }
            async with testbed.program("flood", backoff=[0.1, 1], **settings) as program:
                await program.expect("ready")
                for number in range(count):
                    patch = {"properties": {"desired": {"text": "x" * 1000, "number": number}}}
                    twin = await service.patch_twin(device_id, patch)
                await program.expect("desired", twin["properties"]["desired"]["$version"])
                told = [words[1] for words in program.said if words[0] == "desired"]
                assert told == sorted(set(told))  # each once, in order
                # Telemetry goes on.
                events = await service.local.stored_events(device_id)
                await service.local.stored_events(device_id, events[-1]["position"], wait=20)
                lost = [words for words in program.said if words == ["state", False]]
                told = [words for words in program.said if words[2:3] == ["memory"]]
                assert len(lost) <= len(told)  # no connection ends without a word

    testbed.run(scenario)
