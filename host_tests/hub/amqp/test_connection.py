"""The hub's AMQP connections: headers, SASL, open, sessions, heartbeats, tokens, close."""

import asyncio

from host_tests.support.amqp_peer import AmqpPeer, open_peer
from iothub.amqp.composites import (
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    END,
    FLOW,
    OPEN,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, SASL_HEADER
from iothub.amqp.sections import AmqpMessage
from tools.hub.amqp import connection as amqp_connection


def test_open_is_answered_with_the_hubs_limits(on_hub):
    async def scenario(testbed):
        peer = await testbed.peer()
        opened = await peer.open()
        assert opened.max_frame_size == 65536
        assert opened.idle_time_out
        peer.send(Composite(CLOSE))
        assert (await peer.closed()).descriptor == CLOSE

    on_hub(scenario)


def test_wrong_protocol_header_is_answered_with_the_right_one(on_hub):
    async def scenario(testbed):
        for header in (b"AMQP\x00\x00\x09\x01", b"GET / HT"):
            peer = await open_peer(testbed.hub.ports["amqp_plain_port"])
            peer.write(header)
            assert await peer.header() == AMQP_HEADER
            await peer.closed()

    on_hub(scenario)


def test_sasl_plain(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        other = await testbed.new("other")
        service, own = testbed.service_token("service"), testbed.token("dev", key)
        for user, password, code in (
            ("service@sas.root.localhost", service, 0),
            ("dev@sas.localhost", own, 0),
            ("dev@sas.localhost", testbed.token("dev", other), 1),
            ("dev@sas.localhost", testbed.token("other", other), 1),
            ("dev@sas.localhost", testbed.token("dev", key, life=-10), 1),
            ("dev@sas.elsewhere", own, 1),
            ("dev", own, 1),
            ("device@sas.root.localhost", service, 1),
            ("dev@sas.localhost", "no token", 1),
        ):
            peer = await testbed.peer()
            response = f"\0{user}\0{password}".encode()
            assert await peer.sasl("PLAIN", response) == code, user
            if code == 0:
                await peer.open()
            else:
                await peer.closed()

    on_hub(scenario)


def test_invalid_sasl_plain_is_refused(on_hub):
    async def scenario(testbed):
        for response in (None, b"", b"user\0password", b"\0\xff\0\xff", b"\0a\0b\0c"):
            peer = await testbed.peer()
            assert await peer.sasl("PLAIN", response) == 1
            await peer.closed()

    on_hub(scenario)


def test_sasl_mechanisms_without_credentials_need_put_token(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        for mechanism in ("MSSBCBS", "ANONYMOUS", None):
            peer = await testbed.peer()
            if mechanism:
                assert await peer.sasl(mechanism) == 0
            await peer.open()
            await peer.begin()
            assert await peer.put_token(testbed.token("dev", key)) == 200
            await peer.sender("/devices/dev/messages/events")

    on_hub(scenario)


def test_refused_put_token(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        other = await testbed.new("other")
        for token in (
            testbed.token("dev", other),
            testbed.token("dev", key, life=-1),
            testbed.token("nobody", key),
            testbed.token("dev", key, hub="elsewhere"),
            testbed.service_token() + "x",
            "nonsense",
        ):
            peer = await testbed.amqp()
            assert await peer.put_token(token) == 401

    on_hub(scenario)


def refused(condition):
    """A check that a detach with this condition follows."""

    async def check(peer):
        detach = await peer.expect(DETACH)
        assert detach.closed
        assert detach.error.condition == condition, detach.error.description

    return check


def test_links_need_claims(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        await testbed.new("other")
        peer = await testbed.amqp_device("dev", key)
        for address, receiver in (
            ("/devices/other/messages/events", False),
            ("/devices/other/messages/devicebound", True),
            ("/messages/devicebound", False),
            ("/messages/serviceBound/feedback", True),
            ("/messages/events/ConsumerGroups/$Default/Partitions/0", True),
            ("iothub-ehub-local/ConsumerGroups/$Default/Partitions/0", True),
            ("$management", False),
        ):
            await peer.attach(address, receiver)
            await refused("amqp:unauthorized-access")(peer)
        await peer.sender("/devices/dev/messages/events")  # and this one still works

    on_hub(scenario)


def test_policy_grants_only_its_permissions(on_hub):
    async def scenario(testbed):
        await testbed.new()
        peer = await testbed.amqp(testbed.service_token("device"))
        await peer.attach("/messages/devicebound", False)
        await refused("amqp:unauthorized-access")(peer)
        await peer.sender("/devices/dev/messages/events")
        peer = await testbed.amqp(testbed.service_token("service"))
        await peer.attach("/devices/dev/messages/events", False)
        await refused("amqp:unauthorized-access")(peer)
        await peer.sender("/messages/devicebound")

    on_hub(scenario)


def test_unknown_addresses_are_refused(on_hub):
    async def scenario(testbed):
        peer = await testbed.amqp_service()
        for address, receiver in (
            ("/devices/nobody/messages/events", False),
            ("/somewhere", False),
            ("/messages/devicebound", True),
            ("iothub-ehub-local/ConsumerGroups/$Default/Partitions/4", True),
            ("iothub-ehub-local/ConsumerGroups/$Default/Partitions/x", True),
        ):
            await peer.attach(address, receiver)
            await refused("amqp:not-found")(peer)

    on_hub(scenario)


def test_expired_token_closes_the_connection(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        peer = await testbed.amqp(testbed.token("dev", key, life=60))
        await peer.sender("/devices/dev/messages/events")
        (session,) = connections(testbed)
        testbed.clock.ahead = 70
        session.watch_expiry()
        last = await peer.closed()
        assert last.descriptor == CLOSE
        assert last.error.condition == "amqp:unauthorized-access"

    on_hub(scenario)


def test_renewed_token_keeps_the_connection(on_hub):
    async def scenario(testbed):
        key = await testbed.new()
        peer = await testbed.amqp(testbed.token("dev", key, life=60))
        handle = await peer.sender("/devices/dev/messages/events")
        assert await peer.put_token(testbed.token("dev", key, life=600)) == 200
        testbed.clock.ahead = 70
        for connection in connections(testbed):
            connection.watch_expiry()
        assert await peer.deliver(handle, AmqpMessage(b"still here"))

    on_hub(scenario)


def test_expired_token_detaches_only_its_links(on_hub):
    async def scenario(testbed):
        key, other = await testbed.new(), await testbed.new("other")
        peer = await testbed.amqp(testbed.token("dev", key, life=60))
        assert await peer.put_token(testbed.token("other", other)) == 200
        await peer.sender("/devices/dev/messages/events")
        lasting = await peer.sender("/devices/other/messages/events")
        testbed.clock.ahead = 70
        for connection in connections(testbed):
            connection.watch_expiry()
        await refused("amqp:unauthorized-access")(peer)
        assert await peer.deliver(lasting, AmqpMessage(b"still here"))

    on_hub(scenario)


def connections(testbed):
    """The hub's AMQP connections, found through their tasks' frames."""
    found = []
    for task in asyncio.all_tasks():
        frame = task.get_coro().cr_frame
        connection = frame and frame.f_locals.get("connection")
        if isinstance(connection, amqp_connection.Connection):
            found.append(connection)
    return found


def test_heartbeats(on_hub):
    async def scenario(testbed):
        peer = await testbed.amqp(idle_time_out=400)
        for _ in range(2):  # nothing else is sent
            assert (await peer.frame())[2] is None

    on_hub(scenario)


def test_silent_peer_is_closed(on_hub, monkeypatch):
    monkeypatch.setattr(amqp_connection, "IDLE_TIMEOUT", 0.2)

    async def scenario(testbed):
        peer = await testbed.amqp()
        last = await peer.closed()
        assert last.descriptor == CLOSE
        assert last.error.condition == "amqp:resource-limit-exceeded"

    on_hub(scenario)


def test_connection_without_open_is_closed(on_hub, monkeypatch):
    monkeypatch.setattr(amqp_connection, "OPEN_TIMEOUT", 0.2)

    async def scenario(testbed):
        for start in (b"", SASL_HEADER, AMQP_HEADER, AMQP_HEADER[:5]):
            peer = await testbed.peer()
            peer.write(start)
            await peer.gone()

    on_hub(scenario)


def test_frames_that_close_the_connection(on_hub):
    async def scenario(testbed):
        for data, condition in (
            (b"\0\0\0\x07\x02\0\0\0", "amqp:decode-error"),
            (b"\x7f\xff\xff\xff\x02\0\0\0", "amqp:decode-error"),
            (b"\0\0\0\x08\x03\0\0\0", "amqp:decode-error"),
            (b"\0\0\0\x08\x01\0\0\0", "amqp:decode-error"),
            (b"\0\0\0\x0b\x02\0\0\0\0\x53\x99", "amqp:decode-error"),
            (b"\0\0\0\x0c\x02\0\0\0\0\x53\x10\x45", "amqp:decode-error"),
            (b"\0\0\0\x0c\x02\x01\0\0\0\x53\x17\x45", "amqp:connection:framing-error"),
            (b"\0\0\0\x0c\x02\0\0\x07\0\x53\x17\x45", "amqp:not-allowed"),
        ):
            peer = await testbed.amqp()
            peer.write(data)
            last = await peer.closed()
            assert last.descriptor == CLOSE, data
            assert last.error.condition == condition, last.error.description

    on_hub(scenario)


def test_unexpected_performatives_are_errors(on_hub):
    async def scenario(testbed):
        flow = {"incoming_window": 1, "next_outgoing_id": 0, "outgoing_window": 1}
        for composite, ended in (
            (Composite(OPEN, container_id="again"), CLOSE),
            (Composite(BEGIN, next_outgoing_id=0, incoming_window=1, outgoing_window=1), CLOSE),
            (Composite(TRANSFER, handle=9, delivery_id=0), END),
            (Composite(FLOW, handle=9, **flow), END),
            (Composite(ATTACH, name="x", handle=1000, role=True), END),
        ):
            peer = await testbed.amqp()
            peer.send(composite)
            assert (await peer.expect(CLOSE, END)).descriptor == ended, composite

    on_hub(scenario)


def test_ended_session_is_forgotten(on_hub):
    async def scenario(testbed):
        peer = await testbed.amqp(testbed.service_token())
        await peer.begin(channel=1)
        peer.send(Composite(END), channel=1)
        await peer.expect(END)
        peer.send(Composite(DETACH, handle=0, closed=True), channel=1)  # azure-eventhub does
        await peer.begin(channel=1)
        assert isinstance(peer, AmqpPeer)

    on_hub(scenario)


def test_stopping_hub_sends_close(on_hub):
    async def scenario(testbed):
        peer = await testbed.amqp()
        await testbed.hub.__aexit__(None, None, None)
        assert (await peer.closed()).error.condition == "amqp:connection:forced"

    on_hub(scenario)
