"""How small a board may be: telemetry, a message and the twin in a heap of a given size."""

INTERPRETERS = ("micropython",)
HEAPS = {"mqtt": "64wK", "amqp": "96wK"}


def test_small_heap(bench):
    async def scenario():
        async with bench.service() as service:
            device_id, key = await bench.new_device(service)
            text = bench.connection_string(device_id, key)
            await service.send_c2d_message(device_id, b"hello")
            heap = HEAPS[bench.transport]
            async with bench.program("small", connection_string=text, heap=heap) as program:
                (twin,) = await program.expect("twin")
                assert twin["a"] == 1
                await program.expect("end")
            assert ["message", "hello"] in program.said

    bench.run(scenario)
