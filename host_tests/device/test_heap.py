"""The heap that telemetry, a C2D message and the twin need."""

INTERPRETERS = ("micropython",)
HEAPS = {"mqtt": "64wK", "amqp": "96wK"}


def test_telemetry_messages_and_twin_work_in_a_small_heap(bench):
    async def scenario():
        async with bench.service() as service:
            device_id, key = await bench.new_device(service)
            text = bench.connection_string(device_id, key)
            await service.send_c2d(device_id, b"hello")
            heap = HEAPS[bench.transport]
            async with bench.program("small", connection_string=text, heap=heap) as program:
                (twin,) = await program.expect("twin")
                assert twin["a"] == 1
                await program.expect("end")
            assert ["message", "hello"] in program.said

    bench.run(scenario)
