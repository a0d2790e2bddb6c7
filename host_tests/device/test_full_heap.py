"""A heap that is full for a while: the client notices a lost connection, and works again."""

import contextlib

from iothub.errors import ServiceError

INTERPRETERS = ("micropython",)


@contextlib.asynccontextmanager
async def device(testbed):
    """(service, device id, program) of a connected device with short deadlines."""
    async with testbed.service() as service:
        device_id, key = await testbed.new_device(service)
        text = testbed.connection_string(device_id, key)
        options = {"keep_alive": 4, "timeout": 2, "operation_timeout": 20}
        settings = {"connection_string": text, "options": options, "heap": "128wK"}
        async with testbed.program("full_heap", backoff=[0.1, 0.5], **settings) as program:
            await program.expect("ready")
            # Its handler must have run: what it raises where the heap is full is its own affair.
            while ["state", True] not in program.said:
                await program.line()
            yield service, device_id, program


async def cut(service, device_id):
    """Cut its connection, unless it has lost it by itself."""
    with contextlib.suppress(ServiceError):
        await service.local.cut_connection(device_id)


async def works(service, device_id, program):
    """Telemetry, a method, a desired property and a message, both ways."""
    await program.tell("send", "after")
    await program.expect("sent", "after")
    assert await service.invoke_method(device_id, "echo", {"a": 1}) == (200, {"a": 1})
    await service.patch_twin(device_id, {"properties": {"desired": {"b": 2}}})
    while (await program.expect("desired"))[0].get("b") != 2:
        pass
    await service.send_c2d_message(device_id, b"hello")
    await program.expect("message", "hello")


def test_connection_that_is_cut_after_the_heap_was_full_is_made_again(testbed):
    async def scenario():
        async with device(testbed) as (service, device_id, program):
            await program.tell("fill", 3)
            await program.expect("freed")
            await cut(service, device_id)
            while program.said.count(["state", True]) < 2:
                await program.expect("state")
            await works(service, device_id, program)

    testbed.run(scenario)


def test_connection_that_is_cut_while_the_heap_is_full_is_made_again(testbed):
    async def scenario():
        async with device(testbed) as (service, device_id, program):
            await program.tell("fill", 3)
            await program.expect("filling")
            await cut(service, device_id)
            await program.expect("freed")
            while program.said.count(["state", True]) < 2:
                await program.expect("state")
            await works(service, device_id, program)

    testbed.run(scenario)


def test_everything_that_comes_while_the_heap_is_full_ends_well(testbed):
    async def scenario():
        async with device(testbed) as (service, device_id, program):
            await program.tell("fill", 3)
            await program.expect("filling")
            await service.send_c2d_message(device_id, b"meanwhile")
            await service.patch_twin(device_id, {"properties": {"desired": {"a": 1}}})
            await program.expect("freed")
            while ["message", "meanwhile"] not in program.said:
                await program.line()
            while not any(said[0] == "desired" and said[1].get("a") == 1 for said in program.said):
                await program.line()
            await works(service, device_id, program)

    testbed.run(scenario)


def test_heap_that_is_full_again_and_again(testbed):
    async def scenario():
        async with device(testbed) as (service, device_id, program):
            for _ in range(4):
                await program.tell("fill", 1)
                await program.expect("filling")
                await cut(service, device_id)
                await program.expect("freed")
            await works(service, device_id, program)

    testbed.run(scenario)


def test_heap_that_is_full_when_a_socket_is_polled_does_not_crash_the_interpreter(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
        text = testbed.connection_string(device_id, key)
        settings = {"connection_string": text, "heap": "256wK"}
        async with testbed.program("no_poll", backoff=[0.1, 0.5], **settings) as program:
            for number in range(3):
                await program.expect("works", number)
            await program.expect("end")

    testbed.run(scenario)
