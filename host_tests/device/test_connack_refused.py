"""A refused CONNECT: the clock is checked before the key is blamed; a second device is noticed."""


def test_wrong_clock_is_set_and_the_connection_retried(bench):
    async def scenario():
        async with bench.service() as service:
            text = bench.connection_string(*await bench.new_device(service))
            async with bench.program("clock", connection_string=text, behind=7200) as program:
                await program.expect("end")
                assert program.said[:3] == [["checked"], ["connected"], ["connected"]]

    bench.run(scenario)


def test_refused_key_is_an_error_when_the_clock_is_right(bench):
    async def scenario():
        async with bench.service() as service:
            device_id, _ = await bench.new_device(service)
            text = bench.connection_string(device_id, "A" * 43 + "=")
            async with bench.program("clock", connection_string=text, behind=0) as program:
                await program.expect("end")
                refused = [words[:2] for words in program.said]
                assert refused[:3] == [
                    ["checked"], ["error", "CredentialError"], ["error", "CredentialError"]
                ]  # fmt: skip

    bench.run(scenario)


def test_second_client_with_the_same_identity_is_reported(bench):
    async def scenario():
        async with bench.device() as (service, device_id, program):
            key = (await service.get_device(device_id))["authentication"]["symmetricKey"]
            text = bench.connection_string(device_id, key["primaryKey"])
            async with bench.program("device", connection_string=text) as twin_brother:
                await twin_brother.expect("ready")
                while ["background", "ConnectionDroppedError", "identity", None] not in (
                    program.said + twin_brother.said
                ):
                    await program.expect("state", True)
                    await twin_brother.expect("state", True)

    bench.run(scenario)
