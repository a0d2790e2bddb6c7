"""IoTHubServiceClient in both interpreters: C2D messages, feedback and events."""

import asyncio
import contextlib

TRANSPORTS = ("amqp",)


@contextlib.asynccontextmanager
async def started(testbed, **settings):
    """(ServiceClient, program): programs/service.py with the hub's service connection string."""
    key = testbed.hub["service_connection_string"].partition("SharedAccessKey=")[2]
    host = f"localhost:{testbed.hub['amqp_port']}"
    text = f"HostName={host};SharedAccessKeyName=service;SharedAccessKey={key}"
    settings = {"connection_string": text, **settings}
    async with testbed.service() as service, testbed.program("service", **settings) as program:
        await program.expect("ready")
        yield service, program


@contextlib.asynccontextmanager
async def a_device(testbed, service, transport):
    device_id, key = await testbed.new_device(service)
    port = testbed.hub[f"{transport}_port"]
    text = testbed.connection_string(device_id, key, port=port)
    options = {"transport": transport}
    async with testbed.program("device", connection_string=text, options=options) as device:
        await device.expect("ready")
        yield device_id, device


def test_c2d_message_and_its_feedback(testbed):
    async def scenario():
        async with (
            started(testbed) as (service, program),
            a_device(testbed, service, "mqtt") as (device_id, device),
        ):
            await program.tell("feedback")
            await program.expect("reading feedback")
            properties = {"näme": "grün", "none": None, "n": 5, "yes": True}
            await program.tell("send", [device_id, "hällo", "full", "m-1", properties])
            text, got, system = await device.expect("message")
            assert text == "hällo"
            expected = {"näme": "grün", "none": None, "n": "5", "yes": "true"}
            assert {name: got.get(name) for name in expected} == expected
            assert system[0] == "m-1"
            wanted = [["feedback", "m-1", "Success", device_id], ["sent", "m-1"]]
            while not all(words in program.said for words in wanted):
                await program.expect_any("feedback", "sent")

    testbed.run(scenario)


async def purged(testbed, service, count):
    """Send `count` messages that ask for feedback, and purge them: their ids."""
    device_id, _ = await testbed.new_device(service)
    ids = [f"{device_id}-{number}".ljust(100, "x") for number in range(count)]
    for message_id in ids:
        await service.send_c2d_message(device_id, b"", ack="full", message_id=message_id)
    await service.purge_c2d_messages(device_id)
    return ids


def test_feedback_in_batches(testbed):
    """A batch of 64 records is larger than a device's max_inbound."""

    async def scenario():
        async with started(testbed) as (service, program):
            ids = await purged(testbed, service, 50) + await purged(testbed, service, 50)
            await program.tell("feedback")
            got = []
            while not set(ids) <= set(got):
                got.append((await program.expect("feedback"))[0])

    testbed.run(scenario)


def test_feedback_over_max_inbound_is_not_lost(testbed):
    async def scenario():
        async with testbed.service() as service:
            ids = await purged(testbed, service, 30)
        async with started(testbed, options={"max_inbound": 2000}) as (_, small):
            await small.tell("feedback")
            assert (await small.expect("ended"))[0] == "OversizedError"
        # What earlier tests left may have come first, and with it a batch small enough.
        ids = [one for one in ids if not any(one in words for words in small.said)]
        assert ids
        async with started(testbed) as (_, program):
            await program.tell("feedback")
            while ids:
                message_id = (await program.expect("feedback"))[0]
                ids = [one for one in ids if one != message_id]

    testbed.run(scenario)


def test_failed_first_connection_raises_in_every_waiting_call(testbed):
    async def scenario():
        text = f"HostName=localhost:1;SharedAccessKeyName=service;SharedAccessKey={'A' * 43}="
        async with started(testbed, connection_string=text) as (_, program):
            await program.tell("send twice", ["nobody", "x", None, "m", {}])
            assert await program.expect("both") == [["ConnectionFailedError", "tcp", None]] * 2

    testbed.run(scenario)


def test_refused_message_is_an_error(testbed):
    async def scenario():
        async with started(testbed) as (service, program):
            await program.tell("send", ["nobody", "x", None, "m", {}])
            error = await program.expect("error")
            assert error == ["ServiceError", "disposition", "amqp:not-found"]
            device_id, _ = await testbed.new_device(service)
            for number in range(50):
                await program.tell("send", [device_id, "x", None, str(number), {}])
                await program.expect("sent", str(number))
            await program.tell("send", [device_id, "x", None, "one too many", {}])
            error = await program.expect("error")
            assert error == ["ServiceError", "disposition", "amqp:resource-limit-exceeded"]
            await program.tell("send", [device_id, "x", "sometimes", "m", {}])
            assert (await program.expect("error"))[0] == "ValueError"

    testbed.run(scenario)


def test_wrong_key_is_a_credential_error(testbed):
    async def scenario():
        host = f"localhost:{testbed.hub['amqp_port']}"
        text = f"HostName={host};SharedAccessKeyName=service;SharedAccessKey={'A' * 43}="
        for sasl, stage in (("cbs", "token"), ("plain", "sasl")):
            async with started(testbed, connection_string=text, options={"sasl": sasl}) as made:
                _, bad = made
                await bad.tell("send", ["nobody", "x", None, "m", {}])
                assert await bad.expect("error") == ["CredentialError", stage, 401]

    testbed.run(scenario)


def test_events_of_all_partitions_are_received(testbed):
    async def scenario():
        async with (
            started(testbed) as (service, program),
            a_device(testbed, service, "mqtt") as (one, first),
            a_device(testbed, service, "amqp") as (other, second),
        ):
            await first.tell("send", "before")
            await first.expect("sent", "before")
            await program.tell("events", {})
            await program.expect("reading events")
            await first.tell("send", "by MQTT")
            assert (await program.expect("event"))[:2] == ["by MQTT", one]
            await second.tell("send", "by AMQP")
            assert (await program.expect("event"))[:2] == ["by AMQP", other]

    testbed.run(scenario)


def test_events_survive_a_lost_connection(testbed):
    async def scenario():
        async with (
            started(testbed) as (service, program),
            a_device(testbed, service, "mqtt") as (device_id, device),
        ):
            await program.tell("events", {})
            await program.expect("reading events")
            seen = []
            for number in range(4):
                await service.local.cut_event_readers()
                await device.tell("send many", 10)
                await device.expect("sent", 10)
                seen += [(await program.expect("event"))[0] for _ in range(10)]
                assert len(seen) == 10 * (number + 1)
            assert seen == [f"m{i}" for i in range(10)] * 4
            await device.tell("send", "the last")
            assert (await program.expect("event"))[0] == "the last"

    testbed.run(scenario)


def test_start_position_of_events(testbed):
    async def scenario():
        async with (
            started(testbed) as (service, program),
            a_device(testbed, service, "mqtt") as (device_id, device),
        ):
            for text in ("0", "1", "2"):
                await device.tell("send", text)
                await device.expect("sent", text)
                await asyncio.sleep(0.002)  # so that each has a millisecond of its own
            events = (await service.local.stored_events(device_id))[-3:]
            middle = events[1]
            partition = middle["partition"]
            moment = int(middle["enqueued"] * 1000)
            number = middle["sequenceNumber"]
            for options, expected in (
                ({"sequence_number": number}, ["2"]),
                ({"sequence_number": number, "inclusive": True}, ["1", "2"]),
                ({"offset": str(middle["position"])}, ["2"]),
                ({"enqueued_time": moment}, ["2"]),
                ({"enqueued_time": moment, "inclusive": True}, ["1", "2"]),
            ):
                await program.tell("events", {"partition": partition, **options})
                for text in expected:
                    event = await program.expect("event")
                    assert event[:3] == [text, device_id, str(partition)], options
            await program.tell("events", {"partition": 99})
            assert await program.expect("ended") == ["ServiceError", "management", 404]

    testbed.run(scenario)
