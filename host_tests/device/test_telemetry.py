"""Telemetry by the public API, as the hub's event log has it."""

from tools.hub.core.values import milliseconds

TRANSPORTS = ("mqtt", "amqp", "mqtt-websockets", "amqp-websockets")


def test_telemetry_keeps_properties_bodies_and_order(testbed):
    async def scenario():
        async with testbed.service() as service:
            device_id, key = await testbed.new_device(service)
            cs = testbed.connection_string(device_id, key)
            async with testbed.program("telemetry", connection_string=cs) as program:
                await program.expect("sent")
                await program.expect("connected", False)
                await program.expect("end")
            telemetry = service.local.telemetry(device_id)
            events = [await anext(telemetry) for _ in range(63)]
        full = events[0]
        assert full["body"] == "é漢字".encode()
        assert full["application"] == {"plain": "value", "näme": "a b=c&d%e", "empty": ""}
        assert full["system"]["message-id"] == "m 1"
        assert full["system"]["correlation-id"] == "c/1"
        assert full["system"]["user-id"] == "u&1"
        assert full["system"]["content-type"] == "application/json"
        assert full["system"]["content-encoding"] == "utf-8"
        assert full["system"]["to"] == "there"
        assert milliseconds(full["system"]["absolute-expiry-time"]) == 32472241445000
        assert full["annotations"]["iothub-creation-time-utc"] == "2020-01-01T00:00:00Z"
        # What a protocol cannot carry is said, once for each attribute.
        reports = [words for words in program.said if words[0] == "background"]
        if testbed.transport == "mqtt":
            assert reports == [["background", "UnsentAttributeError", "message", None]] * 2
        else:
            assert reports == []
            assert full["system"]["subject"] == "a subject"
            assert full["system"]["group-sequence"] == 7
        assert [event["body"] for event in events[1:3]] == [b"\x00\xff", b""]
        assert [event["body"] for event in events[3:]] == [b"n%d" % i for i in range(60)]

    testbed.run(scenario)
