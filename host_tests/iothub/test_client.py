"""iothub.client with its real parts over MQTT, against a hub in memory."""

import asyncio
import json

from host_tests.support.memory_mqtt import MQTTHubStream
from host_tests.support.raises import raises
from host_tests.support.tasks import failure, turns, until
from iothub import IoTHubDeviceClient, IoTHubModuleClient, Message, MethodResponse, Outbox
from iothub.compat import unix_time
from iothub.errors import (
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    NoConnectionError,
    OperationCancelled,
    OperationTimeout,
    ServiceError,
)
from iothub.failures import OversizedError
from iothub.messages import AMQP_ONLY
from iothub.mqtt import transport as module
from iothub.mqtt.unsent import UnsentAttributeError
from iothub.sas import sas_token

KEY = "A" * 43 + "="
TEXT = "HostName=h;DeviceId=d;SharedAccessKey=" + KEY


def token(life):
    return sas_token("h/devices/d", KEY, unix_time() + life)


class Scene:
    """hubs: what was dialled; next: hubs, or errors, of the dials to come."""

    def __init__(self, kind=IoTHubDeviceClient, text=TEXT, **options):
        self.hubs, self.next = [], []
        self.client = kind.create_from_connection_string(text, **options)
        self.problems, self.changes = [], []
        self.client.on_background_exception = self.problems.append
        self.client.on_connection_state_change = self._on_change

    def _on_change(self):
        self.changes.append(self.client.connected)

    async def dial(self, *arguments):
        self.dialled = arguments[2:]  # host, port, default port, subprotocol
        outcome = self.next.pop(0) if self.next else MQTTHubStream(present=bool(self.hubs))
        if isinstance(outcome, Exception):
            raise outcome
        self.hubs.append(outcome)
        return outcome

    @property
    def hub(self):
        return self.hubs[-1]

    def prepared(self, **settings):
        """The hub of the next connection."""
        self.next.append(MQTTHubStream(**settings))
        return self.next[-1]

    async def lost(self):
        """The connection breaks, and is made again."""
        count = len(self.hubs)
        self.hub.end()
        await until(lambda: len(self.hubs) > count and self.client.connected)


def scene(test, **settings):
    async def main():
        one = Scene(**settings)
        original, module.dial = module.dial, one.dial
        try:
            await test(one)
            await one.client.shutdown()
        finally:
            module.dial = original
        for hub in one.hubs:
            assert hub.closed

    asyncio.run(asyncio.wait_for(main(), 30))


# -- connection ---------------------------------------------------------------------------------


def test_default_port_is_that_of_mqtt_over_tls():
    async def test(one):
        await one.client.connect()
        assert one.dialled == ("h", None, 8883, "mqtt")

    scene(test)


def test_connect_send_and_disconnect():
    async def test(one):
        client = one.client
        assert not client.connected
        await client.connect()
        assert client.connected
        kind, user, password = one.hub.heard[0]
        assert (kind, user) == ("connect", "h/d/?api-version=2021-04-12")
        assert password.startswith("SharedAccessSignature sr=h%2Fdevices%2Fd&sig=")
        await client.send_message("text")
        await client.send_message(b"bytes")
        await client.send_message(Message("message", message_id="1"))
        assert one.hub.telemetry() == [b"text", b"bytes", b"message"]
        await client.disconnect()
        assert not client.connected
        assert one.hub.kinds()[-1] == "disconnect"
        await turns()
        assert len(one.changes) == 2
        assert one.problems == []

    scene(test)


def test_connect_disconnect_connect_makes_one_connection_at_a_time():
    async def test(one):
        for before in range(8):
            first = asyncio.create_task(one.client.connect())
            await turns(before)
            disconnecting = asyncio.create_task(one.client.disconnect())
            await turns(1)
            second = asyncio.create_task(one.client.connect())
            try:
                await first
            except OperationCancelled:
                pass
            await disconnecting
            await second
            assert one.client.connected
            assert [hub.closed for hub in one.hubs].count(False) == 1
            await one.client.disconnect()
        assert one.problems == []

    scene(test)


def test_first_attempt_that_fails_and_the_next_one():
    async def test(one):
        one.prepared(code=5)
        assert isinstance(await failure(one.client.connect()), CredentialError)
        one.next.append(ConnectionFailedError("refused", "tcp"))
        assert isinstance(await failure(one.client.connect()), ConnectionFailedError)
        assert not one.client.connected
        await one.client.connect()
        assert one.client.connected
        assert one.problems == []

    scene(test)


def test_operations_connect_by_themselves():
    async def test(one):
        await one.client.send_message("a")
        assert one.hub.telemetry() == [b"a"]
        await one.client.disconnect()
        assert json.loads(one.hub.twin) == await one.client.get_twin()
        assert len(one.hubs) == 2

    scene(test)


def test_operations_do_not_connect_if_they_are_not_to():
    async def test(one):
        for operation in (
            one.client.send_message("a"),
            one.client.get_twin(),
            one.client.patch_twin_reported_properties({}),
        ):
            assert isinstance(await failure(operation), NoConnectionError)
        assert one.hubs == []

    scene(test, auto_connect=False)


def test_shutdown_is_for_good():
    async def test(one):
        await one.client.connect()
        await one.client.shutdown()
        for operation in (
            one.client.connect(),
            one.client.send_message("a"),
            one.client.get_twin(),
        ):
            assert isinstance(await failure(operation), NoConnectionError)
        assert len(one.hubs) == 1

    scene(test)


def test_shutdown_with_an_outbox():
    async def test(one):
        await one.client.shutdown()
        raises(NoConnectionError, one.client.send_message, "a")

    scene(test, outbox=Outbox())


# -- telemetry ----------------------------------------------------------------------------------


def test_message_leaves_in_one_flight_with_connect():
    async def test(one):
        connecting = asyncio.create_task(one.client.connect())
        await asyncio.sleep(0)
        sending = asyncio.create_task(one.client.send_message("a"))
        await connecting
        await sending
        assert len(one.hub.writes) == 1

    scene(test)


def test_telemetry_survives_a_lost_connection():
    async def test(one):
        one.prepared(silent=("puback",))
        await one.client.connect()
        tasks = [asyncio.create_task(one.client.send_message(text)) for text in ("a", "b")]
        await turns()
        assert one.hub.telemetry() == [b"a", b"b"]
        await one.lost()
        for task in tasks:
            await task
        assert [told[2:] for told in one.hub.heard if told[0] == "publish"] == [
            (b"a", 1, True),
            (b"b", 1, True),
        ]
        await turns()
        assert [type(error) for error in one.problems] == [ConnectionDroppedError]
        assert len(one.changes) == 3

    scene(test)


def test_what_is_too_large_or_of_another_type():
    async def test(one):
        await one.client.connect()
        for data in ("x" * 262145, b"x" * 262145, "é" * 131073, bytearray(262145)):
            raises(ValueError, one.client.send_message, data)
        raises(TypeError, one.client.send_message, {"a": 1})
        await one.client.send_message("é" * 131072)
        await one.client.send_message(b"x" * 262144)
        assert [len(body) for body in one.hub.telemetry()] == [262144, 262144]

    scene(test)


def test_disconnect_waits_for_pubacks():
    async def test(one):
        hub = one.prepared(silent=("puback",))
        await one.client.connect()
        sending = asyncio.create_task(one.client.send_message("a"))
        await turns()
        disconnecting = asyncio.create_task(one.client.disconnect())
        await turns()
        assert not disconnecting.done()
        hub.acknowledge()
        await sending
        await disconnecting
        assert hub.kinds()[-1] == "disconnect"

    scene(test)


def test_disconnect_gives_up_what_is_never_acknowledged():
    async def test(one):
        one.prepared(silent=("puback",))
        await one.client.connect()
        sending = asyncio.create_task(one.client.send_message("a"))
        await turns()
        await one.client.disconnect()
        assert isinstance(await failure(sending), OperationCancelled)

    scene(test, timeout=0.1)


def test_send_that_is_cancelled_is_withdrawn():
    async def test(one):
        hub = one.prepared(silent=("puback",))
        await one.client.connect()
        sending = asyncio.create_task(one.client.send_message("a"))
        await turns()
        assert one.client.status()["waiting"] == 1
        sending.cancel()
        try:
            await sending
        except asyncio.CancelledError:
            pass
        assert one.client.status()["waiting"] == 0
        hub.acknowledge()  # late
        await turns()
        assert one.client.connected

    scene(test)


def test_outbox_keeps_what_is_sent_without_a_connection():
    async def test(one):
        one.next = [ConnectionFailedError("refused", "tcp") for _ in range(2)]
        await one.client.send_message("a")  # kept: the attempt that it begins fails
        await until(lambda: one.client.status()["state"] == "disconnected")
        assert one.client.status()["outbox"]["waiting"] == 1
        one.next = []
        await one.client.connect()
        await one.client.send_message("b")
        await until(lambda: one.client.status()["outbox"]["waiting"] == 0)
        assert one.hub.telemetry() == [b"a", b"b"]

    scene(test, outbox=Outbox())


# -- twin ---------------------------------------------------------------------------------------


def test_twin_is_read_and_reported():
    async def test(one):
        assert await one.client.get_twin() == json.loads(one.hub.twin)
        await one.client.patch_twin_reported_properties({"a": None, "b": [1]})
        _, topic, body, qos, _ = one.hub.heard[-1]
        assert topic.startswith("$iothub/twin/PATCH/properties/reported/?$rid=")
        assert (json.loads(body), qos) == ({"a": None, "b": [1]}, 0)
        for patch in (None, [], "text"):
            error = await failure(one.client.patch_twin_reported_properties(patch))
            assert isinstance(error, ValueError)
        one.hub.statuses = [429]
        error = await failure(one.client.get_twin())
        assert isinstance(error, ServiceError)
        assert error.code == 429

    scene(test)


def test_twin_subscription_leaves_before_the_first_request():
    async def test(one):
        await one.client.connect()
        await one.client.get_twin()
        kinds = one.hub.kinds()
        assert kinds == ["connect", "subscribe", "publish"]

    scene(test)


def test_twin_request_is_repeated_on_the_next_connection():
    async def test(one):
        one.prepared(silent=("twin",))
        await one.client.connect()
        asking = asyncio.create_task(one.client.get_twin())
        await turns(40)
        await one.lost()
        assert await asking == json.loads(one.hub.twin)

    scene(test)


def test_twin_request_is_repeated_when_a_ping_finds_the_connection_dead():
    async def test(one):
        one.prepared(silent=("twin", "pingresp"))
        await one.client.connect()
        asking = asyncio.create_task(one.client.get_twin())
        await until(lambda: one.hub.kinds()[-1:] == ["publish"])
        await until(lambda: len(one.hubs) == 2)
        assert await asking == json.loads(one.hub.twin)
        await turns()
        assert [error.stage for error in one.problems] == ["ping"]

    scene(test, keep_alive=1, timeout=5)


def test_twin_request_that_the_hub_never_answers_is_not_repeated():
    async def test(one):
        hub = one.prepared(silent=("twin",))
        await one.client.connect()
        error = await failure(one.client.get_twin())
        assert isinstance(error, OperationTimeout)
        assert error.stage == "twin"
        assert hub.kinds().count("publish") == 1
        assert one.client.connected

    scene(test, timeout=0.1)


def test_twin_request_without_connection_retry_is_not_repeated():
    async def test(one):
        one.prepared(silent=("twin",))
        await one.client.connect()
        asking = asyncio.create_task(one.client.get_twin())
        await turns(40)
        one.hub.end()
        assert isinstance(await failure(asking), ConnectionDroppedError)
        assert len(one.hubs) == 1

    scene(test, connection_retry=False)


def test_changes_of_the_desired_properties_are_told_once():
    async def test(one):
        told = []
        hub = one.prepared()
        hub.twin = b'{"desired": {"a": 1, "$version": 5}, "reported": {"$version": 1}}'
        one.client.on_twin_desired_properties_patch_received = told.append
        await one.client.connect()
        await until(lambda: len(told) == 1)
        hub.publish(
            "$iothub/twin/PATCH/properties/desired/?$version=6", b'{"a": 2, "$version": 6}'
        )
        hub.publish(
            "$iothub/twin/PATCH/properties/desired/?$version=6", b'{"a": 2, "$version": 6}'
        )
        await until(lambda: len(told) == 2)
        after = one.prepared(present=True)
        after.twin = b'{"desired": {"a": 2, "b": 3, "$version": 7}, "reported": {"$version": 1}}'
        await one.lost()
        await until(lambda: len(told) == 3)
        await turns()
        assert told == [
            {"a": 1, "$version": 5},
            {"a": 2, "$version": 6},
            {"b": 3, "$version": 7},
        ]

    scene(test)


# -- methods, messages --------------------------------------------------------------------------


def test_handlers_may_be_read_and_taken_back():
    async def test(one):
        client = one.client
        assert client.on_message_received is None
        client.on_message_received = print
        assert client.on_message_received is print
        client.on_message_received = None
        assert client.on_message_received is None
        raises(AttributeError, getattr, client, "on_something_else")
        await client.connect()
        assert "subscribe" not in one.hub.kinds()

    scene(test)


def test_handler_that_is_set_later_subscribes():
    async def test(one):
        await one.client.connect()
        got = []
        one.client.on_message_received = got.append
        await until(lambda: "subscribe" in one.hub.kinds())
        one.hub.publish("devices/d/messages/devicebound/a=b", b"hello", 3)
        await until(lambda: one.hub.kinds()[-1] == "puback")
        assert one.hub.heard[-1] == ("puback", 3)
        assert got[0].data == b"hello"
        assert got[0].custom_properties == {"a": "b"}

    scene(test)


def test_method_may_be_answered_by_a_method_of_the_client():
    async def test(one):
        async def on_method(request):
            response = MethodResponse.create_from_method_request(request, 202, {"got": 1})
            await one.client.send_method_response(response)

        one.client.on_method_request_received = on_method
        await one.client.connect()
        one.hub.publish("$iothub/methods/POST/name/?$rid=a%20b", b"{}")
        await until(lambda: one.hub.kinds()[-1] == "publish")
        assert one.hub.heard[-1][1:3] == ("$iothub/methods/res/202/?$rid=a%20b", b'{"got": 1}')

    scene(test)


def test_message_that_is_too_large_is_counted_and_comes_again():
    async def test(one):
        one.client.on_message_received = print
        await one.client.connect()
        one.hub.publish("devices/d/messages/devicebound/", bytes(2000), 3)
        await until(lambda: one.problems)
        assert isinstance(one.problems[0], OversizedError)
        assert one.client.status()["dropped"] == 1
        assert "puback" not in one.hub.kinds()

    scene(test, max_inbound=1000)


# -- attributes that cannot be sent ---------------------------------------------------------------


def test_attributes_that_mqtt_does_not_carry_are_reported_once():
    async def test(one):
        await one.client.connect()
        message = Message("a", message_id="1")
        await one.client.send_message(message)
        assert one.problems == []
        message.subject, message.group_id = "s", "g"
        for _ in range(3):
            await one.client.send_message(message)
        message.creation_time = 5
        await one.client.send_message(message)
        await turns()
        assert [type(error) for error in one.problems] == [UnsentAttributeError] * 3
        assert [error.name for error in one.problems] == ["subject", "group_id", "creation_time"]
        assert one.hub.telemetry() == [b"a"] * 5
        _, topic, _, _, _ = one.hub.heard[-1]
        assert topic == "devices/d/messages/events/%24.mid=1"

    scene(test)


def test_each_of_these_attributes_is_reported_alone_too():
    async def test(one):
        for name in AMQP_ONLY:
            message = Message("a")
            setattr(message, name, 0)
            await one.client.send_message(message)
        await turns()
        assert [error.name for error in one.problems] == list(AMQP_ONLY)

    scene(test)


def test_over_amqp_it_is_an_outbox_that_does_not_keep_them():
    for outbox, names in ((Outbox(), ["subject"]), (None, [])):

        async def test(one, names=names):
            message = Message("a")
            message.subject = "s"
            try:
                await one.client.send_message(message)
            except NoConnectionError:
                pass
            await turns()
            assert [error.name for error in one.problems] == names

        scene(test, transport="amqp", outbox=outbox, auto_connect=False)


# -- tokens -------------------------------------------------------------------------------------


def ready(text):
    return "HostName=h;DeviceId=d;SharedAccessSignature=" + text


def test_ready_token_is_replaced_on_another_connection():
    async def test(one):
        await one.client.connect()
        first, second = one.hub, token(7200)
        one.prepared(present=True)
        task = asyncio.create_task(one.client.update_sastoken(second))
        await until(lambda: len(one.hubs) == 2)
        first.end()
        await task
        assert one.hub.heard[0][2] == second
        await one.client.send_message("a")
        assert one.hub.telemetry() == [b"a"]
        assert one.client.status()["connections"] == 1
        assert one.problems == []

    scene(test, text=ready(token(3600)))


def test_ready_token_that_comes_while_it_connects():
    """The attempt has shown the token before: the new one is shown once the attempt ends."""

    async def test(one):
        hub = one.prepared(silent=("connack",))
        connecting = asyncio.create_task(one.client.connect())
        await until(lambda: one.hubs)
        updating = asyncio.create_task(one.client.update_sastoken(token(7200)))
        await turns()
        assert not updating.done()
        hub.send(b"\x20\x02\x00\x00")
        await connecting
        await updating
        assert one.client.connected
        assert len(one.hubs) == 2
        assert one.hubs[1].heard[0][2] != one.hubs[0].heard[0][2]

    scene(test, text=ready(token(3600)))


def test_disconnect_meets_update_sastoken_at_any_moment():
    for before in range(10):

        async def test(one, before=before):
            await one.client.connect()
            one.prepared(present=True)
            updating = asyncio.create_task(one.client.update_sastoken(token(7200)))
            await turns(before)
            await one.client.disconnect()
            try:
                await updating
            except (OperationCancelled, ConnectionDroppedError):
                pass
            assert not one.client.connected
            for hub in one.hubs:
                assert hub.closed
            await one.client.connect()
            await one.client.send_message("a")

        scene(test, text=ready(token(3600)))


# -- what it says of itself ---------------------------------------------------------------------


def test_status_and_repr():
    async def test(one):
        client = one.client
        assert repr(client) == "<IoTHubDeviceClient d: disconnected>"
        await client.connect()
        await client.send_message("a")
        status = client.status()
        assert status["state"] == "connected"
        assert status["connections"] == 1
        assert status["losses"] == {}
        assert status["waiting"] == status["handled"] == status["dropped"] == 0
        assert isinstance(status["roundTrip"], int)
        assert 0 <= status["lastTick"] < 60
        assert status["connectingSince"] is None
        assert status["timeout"] == 20
        assert "outbox" not in status
        assert repr(client).startswith("<IoTHubDeviceClient d: connected, round trip ")
        assert KEY not in repr(client)
        await one.lost()
        assert "reconnects 1" in repr(client)
        assert client.status()["losses"] == {"read": 1}

    scene(test)


def test_options_that_are_wrong():
    create = IoTHubDeviceClient.create_from_connection_string
    for wrong, kind in (({"keepalive": 1}, TypeError), ({"qos": 2}, ValueError)):
        try:
            create(TEXT, **wrong)
        except kind:
            continue
        raise AssertionError(f"{wrong} is taken")


def test_clients_of_other_kinds():
    for client, name in (
        (IoTHubDeviceClient.create_from_symmetric_key(KEY, "h", "d"), "d"),
        (IoTHubDeviceClient.create_from_sastoken(token(5)), "d"),
        (
            IoTHubModuleClient.create_from_connection_string(TEXT + ";ModuleId=m"),
            "d/m",
        ),
    ):
        assert name in repr(client)
        assert client.status()["state"] == "disconnected"


def test_module_sends_to_an_output():
    async def test(one):
        await one.client.send_message_to_output("a", "out 1")
        _, topic, body, _, _ = one.hub.heard[-1]
        assert topic == "devices/d/modules/m/messages/events/%24.on=out%201"
        assert body == b"a"

    scene(test, kind=IoTHubModuleClient, text=TEXT + ";ModuleId=m")
