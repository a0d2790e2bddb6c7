"""C2D messages, device twin and direct methods against the local hub."""

import asyncio


def test_c2d_properties_may_be_null_empty_or_a_value(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await service.send_c2d_message(
                device_id,
                "grüß".encode(),
                properties={"none": None, "empty": "", "näme": "a b&c=d"},
                message_id="m/1",
                correlation_id="c 1",
            )
            text, properties, system = await program.expect("message")
            assert text == "grüß"
            assert properties == {"none": None, "empty": "", "näme": "a b&c=d"}
            assert system[:2] == ["m/1", "c 1"]

    testbed.run(scenario)


def test_every_attribute_is_there_over_both_protocols(testbed):
    async def scenario():
        async with testbed.device(tell_attributes=True) as (service, device_id, program):
            both = {
                "message_id": "m", "correlation_id": "c", "user_id": "ü", "content_type": "a/b",
                "content_encoding": "utf-8",
            }  # fmt: skip
            amqp = {
                "subject": "s", "reply_to": "r", "group_id": "g", "group_sequence": 7,
                "reply_to_group_id": "rg", "creation_time": 1700000000000,
                "absolute_expiry_time": 32472241445000,
            }  # fmt: skip
            await service.send_c2d_message(device_id, b"x", ack="full", **both, **amqp)
            (found,) = await program.expect("attributes")
            expected = dict.fromkeys(found)
            expected.update(both, ack="full")
            expected["to"] = f"/devices/{device_id}/messages/devicebound"
            expected["expiry_time_utc"] = "2999-01-02T03:04:05.000Z"
            if testbed.transport == "amqp":
                expected.update(amqp, delivery_count=0)
            assert found == expected
            await service.send_c2d_message(device_id, b"y")
            (found,) = await program.expect("attributes")
            told = {name: value for name, value in found.items() if value is not None}
            told.pop("message_id", None)  # the hub may give it one
            assert told.pop("delivery_count", 0) == 0
            assert told == {"to": f"/devices/{device_id}/messages/devicebound"}
            assert not [words for words in program.said if words[0] == "background"]

    testbed.run(scenario)


def test_message_is_redelivered_after_a_failed_handler(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await program.tell("fail", "first")
            await program.expect("failing")
            await service.send_c2d_message(device_id, b"first")
            await program.expect("message", "first")
            assert (await program.expect("background"))[0] == "RuntimeError"
            if testbed.transport == "mqtt":  # which can give nothing back before it reconnects
                await service.send_c2d_message(device_id, b"second")
                await program.expect("message", "second")
                await testbed.waiting(service, device_id, 1)
                await service.local.cut_connection(device_id)
            await program.expect("message", "first")
            await testbed.waiting(service, device_id, 0)
            await service.local.cut_connection(device_id)
            await program.expect("state", False)
            await program.expect("state", True)
            await service.send_c2d_message(device_id, b"third")
            assert (await program.expect("message"))[0] == "third"

    testbed.run(scenario)


def test_twin_is_read_and_reported_properties_are_set_and_deleted(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await program.tell("report", {"a": 1, "b": {"c": "é"}})
            await program.expect("reported")
            await program.tell("report", {"a": None, "b": {"d": [1, 2]}})
            await program.expect("reported")
            await program.tell("twin")
            (twin,) = await program.expect("twin")
            version = twin["reported"].pop("$version")
            assert twin["reported"] == {"b": {"c": "é", "d": [1, 2]}}
            assert version >= 2
            assert twin["desired"]["$version"] == 1
            seen = await service.get_twin(device_id)
            assert seen["properties"]["reported"]["b"] == {"c": "é", "d": [1, 2]}

    testbed.run(scenario)


def test_desired_changes_reach_the_handler_once_including_those_made_offline(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await service.patch_twin(device_id, {"properties": {"desired": {"x": 1, "y": 1}}})
            assert await program.expect("desired") == [{"x": 1, "y": 1, "$version": 2}]
            await program.tell("disconnect")
            await program.expect("disconnected")
            await service.patch_twin(device_id, {"properties": {"desired": {"x": None, "z": 3}}})
            await program.tell("connect")
            assert await program.expect("desired") == [{"x": None, "z": 3, "$version": 3}]
            await service.local.cut_connection(device_id)
            await program.expect("state", True)
            await service.patch_twin(device_id, {"properties": {"desired": {"y": 2}}})
            # The next word is the new change: nothing was told twice in between.
            assert await program.expect("desired") == [{"y": 2, "$version": 4}]

    testbed.run(scenario)


def test_desired_properties_reach_the_handler_at_the_first_connection(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            await service.patch_twin(device_id, {"properties": {"desired": {"interval": 5}}})
            cs = testbed.connection_string(device_id, key)
            async with testbed.program("device", connection_string=cs) as program:
                (patch,) = await program.expect("desired")
                assert patch["interval"] == 5
                assert patch["$version"] == 2

    testbed.run(scenario)


def test_methods_take_any_json_or_no_payload(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            for payload in ({"a": [1, None, "é"]}, [1, 2.5], "text", 7, True):
                assert await service.invoke_method(device_id, "echo", payload) == (200, payload)
            status, payload = await service.invoke_method(device_id, "tuple", None)
            assert (status, payload) == (207, [1, "é", None])
            status, payload = await service.invoke_method(device_id, "response", {})
            assert (status, payload) == (201, {"a": {"b": 2}})
            status, payload = await service.invoke_method(device_id, "unknown", None)
            assert (status, payload) == (404, None)
            errors = {"wrong status": "ValueError", "raise": "RuntimeError"}
            for name in [*errors] * 5:  # more often than requests are kept
                status, _ = await service.invoke_method(device_id, name, None)
                assert status == 500
                await program.expect("background", errors[name])

    testbed.run(scenario)


def test_method_that_never_returns_is_answered_504_and_blocks_no_other(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            stuck = asyncio.create_task(service.invoke_method(device_id, "never", None))
            await program.expect("method", "never")
            assert await service.invoke_method(device_id, "echo", 1) == (200, 1)
            assert not stuck.done()
            assert (await stuck)[0] == 504

    testbed.run(scenario)


def test_program_without_handlers_accepts_no_earlier_subscriptions(testbed):
    async def scenario():
        async with testbed.device() as (service, device_id, program):
            await program.tell("end")
            await program.expect("end")
            await service.send_c2d_message(device_id, b"for the other")
            key = (await service.get_device(device_id))["authentication"]["symmetricKey"]
            cs = testbed.connection_string(device_id, key["primaryKey"])
            async with testbed.program("telemetry", connection_string=cs) as without:
                await without.expect("sent")
                await service.patch_twin(device_id, {"properties": {"desired": {"a": 1}}})
                await without.expect("end")
            async with testbed.program("device", connection_string=cs) as again:
                assert (await again.expect("message"))[0] == "for the other"

    testbed.run(scenario)
