"""The heap that telemetry, a C2D message and the twin need."""

INTERPRETERS = ("micropython",)
HEAPS = {"mqtt": "64wK", "amqp": "96wK"}


def test_telemetry_messages_and_twin_work_in_a_small_heap(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            text = testbed.connection_string(device_id, key)
            await service.send_c2d_message(device_id, b"hello")
            heap = HEAPS[testbed.transport]
            async with testbed.program("small_heap", connection_string=text, heap=heap) as program:
                (twin,) = await program.expect("twin")
                assert twin["a"] == 1
                await program.expect("end")
            assert ["message", "hello"] in program.said

    testbed.run(scenario)
