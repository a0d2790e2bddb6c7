"""C2D messages from a scripted MQTT hub: which are acknowledged, when, on which connection."""

from host_tests.support.scripted_mqtt_server import ScriptedMqttServer

TRANSPORTS = ("mqtt",)
PATIENT = {"handler_timeout": 60, "keep_alive": 1}


def test_slow_handler_delays_neither_pings_nor_telemetry_and_acknowledges_last(
    testbed, localhost_tls
):
    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls, **PATIENT) as program:
            await program.expect("ready")
            await program.tell("hold", "slow")
            await program.expect("holding")
            hub.message(b"slow", 7)
            hub.message(b"next", 8)
            await program.expect("message", "slow")
            await hub.heard.wait_for(1, "ping", count=hub.heard.count([1, "ping"]) + 2)
            await program.tell("send", "meanwhile")
            await program.expect("sent", "meanwhile")
            assert pubacks(hub) == []
            await program.tell("let go")
            await hub.heard.wait_for(1, "puback", 8)
            assert pubacks(hub) == [[1, "puback", 7], [1, "puback", 8]]
            assert hub.connections == 1

    testbed.run(scenario)


def test_duplicate_is_handled_and_acknowledged_again(testbed, localhost_tls):
    """Delivery is at least once: the program recognizes duplicates by message_id."""

    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls) as program:
            await program.expect("ready")
            hub.message(b"one", 7, bag="%24.mid=m1")
            await hub.heard.wait_for(1, "puback", 7)
            hub.message(b"one", 7, dup=True, bag="%24.mid=m1")
            await hub.heard.wait_for(1, "puback", 7, count=2)
            hub.message(b"two", 8, bag="%24.mid=m2")
            await hub.heard.wait_for(1, "puback", 8)
            ids = [words[3][0] for words in program.said if words[0] == "message"]
            while len(ids) < 3:
                ids.append((await program.expect("message"))[2][0])
            assert ids == ["m1", "m1", "m2"]

    testbed.run(scenario)


def test_message_cut_before_its_acknowledgement_is_handled_and_acknowledged_again(
    testbed, localhost_tls
):
    """A handler that began on the old connection acknowledges on neither connection; the
    redelivered message is acknowledged once.
    """

    async def scenario():
        hub = ScriptedMqttServer()
        async with testbed.device_on(hub, localhost_tls, handler_timeout=60) as program:
            await program.expect("ready")
            await program.tell("hold", "one")
            await program.expect("holding")
            hub.message(b"one", 7)
            hub.message(b"waits behind", 8)
            await program.expect("message", "one")
            hub.cut()
            await program.expect("state", True)
            await program.tell("let go")
            await program.expect("done", "one")
            await program.tell("send", "after")
            await program.expect("sent", "after")
            assert pubacks(hub) == []
            hub.message(b"one", 7, dup=True)
            hub.message(b"waits behind", 9, dup=True)
            await hub.heard.wait_for(2, "puback", 9)
            assert pubacks(hub) == [[2, "puback", 7], [2, "puback", 9]]
            texts = [words[1] for words in program.said if words[0] == "message"]
            while len(texts) < 3:
                texts.append((await program.expect("message"))[0])
            assert texts == ["one", "one", "waits behind"]

    testbed.run(scenario)


def pubacks(hub):
    return [words for words in hub.heard if words[1] == "puback"]
