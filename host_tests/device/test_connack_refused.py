"""A refused CONNECT: the clock is checked before the key is blamed; a second device is noticed."""


def test_wrong_clock_is_set_and_the_connection_retried(testbed):
    async def scenario():
        async with testbed.service() as service:
            text = testbed.connection_string(*await testbed.new_device(service))
            async with testbed.program("clock", connection_string=text, behind=7200) as program:
                await program.expect("end")
                assert program.said[:3] == [["checked"], ["connected"], ["connected"]]

    testbed.run(scenario)


def test_refused_key_is_an_error_when_the_clock_is_right(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, _ = await testbed.new_device(service)
            text = testbed.connection_string(device_id, "A" * 43 + "=")
            async with testbed.program("clock", connection_string=text, behind=0) as program:
                await program.expect("end")
                refused = [words[:2] for words in program.said]
                assert refused[:3] == [
                    ["checked"], ["error", "CredentialError"], ["error", "CredentialError"]
                ]  # fmt: skip

    testbed.run(scenario)


def test_second_client_with_the_same_identity_is_reported(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            key = (await service.get_device(device_id))["authentication"]["symmetricKey"]
            text = testbed.connection_string(device_id, key["primaryKey"])
            # Its first connection may be ended, too, before it is ready.
            again = {"connection_string": text, "retry": True}
            async with testbed.program("device", **again) as twin_brother:
                await twin_brother.expect("ready")
                while ["background", "ConnectionDroppedError", "identity", None] not in (
                    program.said + twin_brother.said
                ):
                    await program.expect("state", True)
                    await twin_brother.expect("state", True)

    testbed.run(scenario)
