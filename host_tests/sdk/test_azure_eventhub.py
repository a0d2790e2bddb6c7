"""azure-eventhub reads the local hub's events."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.eventhub import EventHubConsumerClient, TransportType

PATIENCE = 20
# Over WebSocket the SDK looks for bytes once a second: one test shows that it works.
without_websocket = pytest.mark.parametrize("new_consumer", ["plain", "TLS"], indirect=True)


@pytest.fixture(params=["plain", "TLS", "WebSocket"])
def new_consumer(request, redirected_hub):
    """new_consumer(): an EventHubConsumerClient, over each of the transports."""
    text = redirected_hub["eventhub_connection_string"]
    options = {}
    if request.param != "plain":
        text = text.replace(f"localhost:{redirected_hub['amqp_plain_port']}", "localhost")
        text = text.replace("UseDevelopmentEmulator=true;", "")
        websocket = request.param == "WebSocket"
        port = redirected_hub["https_port" if websocket else "amqp_port"]
        options = {
            "custom_endpoint_address": f"sb://localhost:{port}",
            "connection_verify": redirected_hub["ca_file"],
            "transport_type": (
                TransportType.AmqpOverWebsocket if websocket else TransportType.Amqp
            ),
        }
    return lambda: EventHubConsumerClient.from_connection_string(text, "$Default", **options)


def read(client, wanted, act=None, **where):
    """{body: (partition, event)} of the events in `wanted`, once all are there; act() is called
    once reading has begun.
    """
    found, failures = {}, []
    done, started = threading.Event(), threading.Event()

    def on_event(context, event):
        started.set()
        if event is not None and event.body_as_str() in wanted:
            found[event.body_as_str()] = (context.partition_id, event)
            if len(found) == len(wanted):
                done.set()

    def run():
        try:
            client.receive(
                on_event,
                on_error=lambda _, error: failures.append(error),
                max_wait_time=0.2,
                **where,
            )
        except Exception as error:  # it would be lost with the thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        if act is not None:
            assert started.wait(PATIENCE), failures
            act()
        assert done.wait(PATIENCE), (sorted(found), failures)
    finally:
        client.close()
        thread.join(PATIENCE)
    return found


def test_all_partitions_from_the_start(new_consumer, connect_device, request):
    names = [f"{request.node.callspec.id}-{number}" for number in range(6)]
    for name in names:
        connect_device(name).send_message(f"from {name}")
    found = read(new_consumer(), {f"from {name}" for name in names}, starting_position="-1")
    assert len({partition for partition, _ in found.values()}) > 1
    for body, (_, event) in found.items():
        annotations = event.system_properties
        assert annotations[b"iothub-connection-device-id"].decode() == body.partition(" ")[2]
        assert annotations[b"iothub-message-source"] == b"Telemetry"
        assert event.offset and event.sequence_number >= 0


@without_websocket
def test_start_positions(new_consumer, connect_device, request):
    name = f"{request.node.callspec.id}-positions"
    client = connect_device(name)
    every = [f"{name} {number}" for number in range(4)]
    for body in every:
        client.send_message(body)
        moment = time.time() + 0.002  # so that each has a millisecond of its own
        while time.time() < moment:
            pass
    first = read(new_consumer(), set(every), starting_position="-1")
    partition, second = first[every[1]]
    with new_consumer() as asked:
        assert partition in asked.get_partition_ids()
        state = asked.get_partition_properties(partition)
    last = first[every[3]][1]
    assert state["last_enqueued_sequence_number"] == last.sequence_number
    assert state["last_enqueued_offset"] == last.offset
    assert not state["is_empty"]

    sequence = second.sequence_number
    cases = (
        ({"starting_position": sequence}, 2),
        ({"starting_position": sequence, "starting_position_inclusive": True}, 1),
        ({"starting_position": second.offset}, 2),
        ({"starting_position": second.enqueued_time}, 2),
    )
    with ThreadPoolExecutor(len(cases)) as pool:
        readings = [
            pool.submit(collect, new_consumer(), partition, every[3], **where)
            for where, _ in cases
        ]
    for reading, (where, beginning) in zip(readings, cases, strict=True):
        assert [body for body in reading.result() if body in every] == every[beginning:], where


def collect(client, partition, last, **where):
    """The bodies of a partition, up to the event with the body `last`."""
    seen = []
    done = threading.Event()

    def on_event(_, event):
        if event is not None:
            seen.append(event.body_as_str())
            if seen[-1] == last:
                done.set()

    options = {"partition_id": partition, "max_wait_time": 0.2, **where}
    thread = threading.Thread(target=client.receive, args=(on_event,), kwargs=options)
    thread.start()
    try:
        assert done.wait(PATIENCE), seen
    finally:
        client.close()
        thread.join(PATIENCE)
    return seen


@without_websocket
def test_only_new_events(new_consumer, connect_device, request):
    name = f"{request.node.callspec.id}-latest"
    client = connect_device(name)
    client.send_message(f"{name} old")
    old = read(new_consumer(), {f"{name} old"}, starting_position="-1")
    partition = old[f"{name} old"][0]
    found = read(
        new_consumer(),
        {f"{name} new"},
        act=lambda: client.send_message(f"{name} new"),
        starting_position="@latest",
        partition_id=partition,
    )
    assert set(found) == {f"{name} new"}
