"""Messages over max_inbound whose topics cannot be read: discarded and reported."""

from host_tests.support import mqtt_packets
from host_tests.support.scripted_mqtt_server import ScriptedMqttServer

TRANSPORTS = ("mqtt",)
TOPICS = (
    "$iothub/methods/POST/reboot/",  # of no request
    "$iothub/twin/res/none/?$rid=1",
    "$iothub/twin/res/200/?$rid=%ff",
    "$iothub/twin/PATCH/properties/desired/?$version=x",
    "somebody/else",
)


def test_oversized_messages_with_unreadable_topics_are_reported(testbed, localhost_tls):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls, max_inbound=2000) as program:
            await program.expect("ready")
            for topic in TOPICS:
                hub.send(mqtt_packets.publish(topic, b"x" * 3000, 5))
                assert (await program.expect("background"))[:2] == ["OversizedError", "message"]
            await program.tell("send", "after")
            await program.expect("sent", "after")
            assert ["state", False] not in program.said
            assert [1, "puback", 5] not in hub.heard
        assert hub.connections == 1

    testbed.run(scenario)
