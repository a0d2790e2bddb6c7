"""Torn and hostile bytes on every front of the hub: it answers or closes, goes on serving others,
and does not grow.
"""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import time
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tests.support import mqtt_packets
from host_tests.support.processes import hub_process, resident_memory
from iothub.amqp.codec import Described, Typed, encode
from iothub.amqp.composites import (
    ATTACH,
    BEGIN,
    CLOSE,
    DISPOSITION,
    FLOW,
    OPEN,
    SOURCE,
    TARGET,
    TRANSFER,
    Composite,
)
from iothub.amqp.frames import AMQP_HEADER, SASL_HEADER, frame
from iothub.amqp.sections import VALUE, AmqpMessage
from tools.hub.core import auth
from tools.service.client import ServiceClient

PATIENCE = 10
GROWTH = 64 * 1024 * 1024
fuzzed = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def service_token(hub):
    return ServiceClient.create_for_local_hub(hub).rest.token()


def device_token(key):
    resource, expiry = quote("localhost/devices/fuzz", safe=""), int(time.time()) + 3600
    signature = quote(base64.b64encode(auth.sign(resource, expiry, key)), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}"


def rest(hub, method, path, body=None, headers=None):
    """(status, body) of a REST call."""
    tls = ssl.create_default_context(cafile=hub["ca_file"])
    connection = http.client.HTTPSConnection(
        "localhost", hub["https_port"], timeout=PATIENCE, context=tls
    )
    with contextlib.closing(connection):
        headers = {"Authorization": service_token(hub), **(headers or {})}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_process(tmp_path_factory.mktemp("fuzz")) as running:
        status, body = rest(running, "PUT", "/devices/fuzz", b"{}")
        assert status == 200
        running["key"] = json.loads(body)["authentication"]["symmetricKey"]["primaryKey"]
        yield running


@pytest.fixture(autouse=True)
def hub_stays_healthy(hub):
    """Around each test: another connection lives on, and the memory is bounded."""
    begin = Composite(BEGIN, next_outgoing_id=0, incoming_window=1, outgoing_window=1)
    with socket.create_connection(("localhost", hub["amqp_plain_port"]), PATIENCE) as witness:
        witness.sendall(AMQP_START)
        assert witness.recv(65536).startswith(AMQP_HEADER)
        before = resident_memory(hub.process)
        yield
        witness.sendall(bytes(frame(0, begin)))
        answer = b""
        while b"\0\x53\x11" not in answer:
            piece = witness.recv(65536)
            assert piece, "the hub has closed it"
            answer += piece
    assert rest(hub, "GET", "/devices/fuzz")[0] == 200
    assert resident_memory(hub.process) < before + GROWTH


def talk(hub, port, data, tls=False, after=None):
    """Send bytes, end the stream, and read until the hub closes: what it sent.

    after: more bytes, which are sent after the first answer.
    """
    with socket.create_connection(("localhost", hub[port]), PATIENCE) as plain, plain.dup() as raw:
        context = ssl.create_default_context(cafile=hub["ca_file"])
        stream = context.wrap_socket(plain, server_hostname="localhost") if tls else plain
        answer = b""
        with stream, contextlib.suppress(ConnectionError, ssl.SSLError):
            stream.sendall(data)
            if after is not None:
                answer = stream.recv(65536)
                stream.sendall(after)
            raw.shutdown(socket.SHUT_WR)  # without TLS's own end, as a broken network leaves it
            while piece := stream.recv(65536):
                answer += piece
        return answer


# -- what a peer could say, and what becomes of it on the way ------------------------------------


def mangled(parts):
    """Some of the parts in a row; bytes are changed, removed, inserted, or cut off at the end."""
    change = st.one_of(
        st.tuples(st.just("set"), st.integers(0, 2000), st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("cut"), st.integers(0, 2000), st.integers(1, 20)),
        st.tuples(st.just("put"), st.integers(0, 2000), st.binary(min_size=1, max_size=20)),
        st.tuples(st.just("end"), st.integers(0, 2000), st.none()),
    )

    def apply(chosen, changes):
        data = bytearray(b"".join(chosen))
        for kind, at, what in changes:
            at %= len(data) + 1
            if kind == "set":
                data[at : at + len(what)] = what
            elif kind == "cut":
                del data[at : at + what]
            elif kind == "put":
                data[at:at] = what
            else:
                del data[at:]
        return bytes(data)

    row = st.lists(st.sampled_from(parts), min_size=1, max_size=6)
    return st.builds(apply, row, st.lists(change, max_size=4))


def amqp_parts():
    link = {"source": Composite(SOURCE, address="$cbs"), "target": Composite(TARGET, address="x")}
    to_cbs = {"source": Composite(SOURCE), "target": Composite(TARGET, address="$cbs")}
    deep = encode(1)
    for _ in range(2000):
        deep = b"\0\x53\x01" + deep
    composites = (
        Composite(BEGIN, next_outgoing_id=0, incoming_window=0, outgoing_window=2**32 - 1),
        Composite(ATTACH, name="in", handle=0, role=True, **link),
        Composite(ATTACH, name="out", handle=1, role=False, initial_delivery_count=0, **to_cbs),
        Composite(FLOW, incoming_window=2**32 - 1, next_outgoing_id=0, outgoing_window=0,
                  handle=0, link_credit=2**32 - 1, delivery_count=2**32 - 1, drain=True),
        Composite(DISPOSITION, role=True, first=0, last=2**32 - 1, settled=False),
        Composite(TRANSFER, handle=1, delivery_id=2**32 - 1, more=True),
        Composite(CLOSE),
    )  # fmt: skip
    request = AmqpMessage("token", VALUE, message_id=Typed("uuid", b"0" * 16))
    request.application = {"operation": "put-token", "type": Described("a", [1]), "name": None}
    transfer = Composite(TRANSFER, handle=1, delivery_id=0)
    return [
        *(bytes(frame(0, one)) for one in composites),
        bytes(frame(0, transfer, request.encode())),
        bytes(frame(0, transfer, deep)),
        b"\xff\xff\xff\xff\x02\0\0\0",
        b"\0\0\0\x14\x02\0\0\0\0\x53\x11\xf0\xff\xff\xff\xff\xff\xff\xff\xff\x40",
    ]


AMQP_START = AMQP_HEADER + bytes(frame(0, Composite(OPEN, container_id="fuzz")))


@fuzzed
@given(mangled([AMQP_HEADER, SASL_HEADER, *amqp_parts()]))
def test_amqp_survives_hostile_bytes_from_the_first_byte(hub, data):
    talk(hub, "amqp_plain_port", data)


@fuzzed
@given(mangled([AMQP_START, *amqp_parts()]))
def test_amqp_survives_hostile_bytes_after_open(hub, data):
    answer = talk(hub, "amqp_plain_port", AMQP_START + data)
    assert answer.startswith(AMQP_HEADER)


@fuzzed
@given(mangled(amqp_parts()))
def test_amqp_survives_hostile_frames_of_an_authorized_device(hub, data):
    """In a session that has put a token."""
    token = AmqpMessage(service_token(hub), VALUE, message_id="t")
    token.application = {
        "operation": "put-token",
        "type": "servicebus.windows.net:sastoken",
        "name": "localhost",
    }
    attach = {
        "c": Composite(ATTACH, name="c", handle=8, role=True,
                       source=Composite(SOURCE, address="$cbs")),
        "t": Composite(ATTACH, name="t", handle=9, role=False, initial_delivery_count=0,
                       target=Composite(TARGET, address="$cbs")),
        "d": Composite(ATTACH, name="d", handle=1, role=False, initial_delivery_count=0,
                       target=Composite(TARGET, address="/devices/fuzz/messages/events")),
        "m": Composite(ATTACH, name="m", handle=0, role=True,
                       source=Composite(SOURCE, address="/devices/fuzz/messages/devicebound")),
    }  # fmt: skip
    begin = Composite(BEGIN, next_outgoing_id=0, incoming_window=100, outgoing_window=100)
    put = Composite(TRANSFER, handle=9, delivery_id=0, settled=True)
    start = b"".join(
        bytes(part)
        for part in (
            AMQP_START,
            frame(0, begin),
            frame(0, attach["c"]),
            frame(0, attach["t"]),
            frame(0, put, token.encode()),
            frame(0, attach["d"]),
            frame(0, attach["m"]),
        )
    )
    assert b"local-iot-hub" in talk(hub, "amqp_plain_port", start + data)


def mqtt_parts(key):
    user = b"localhost/fuzz/?api-version=2021-04-12"
    connect = mqtt_packets.connect("fuzz", user, device_token(key))
    return connect, [
        connect,
        mqtt_packets.publish("devices/fuzz/messages/events/a=b", b"x", 1),
        mqtt_packets.publish("devices/fuzz/messages/events/%ff&%", b"x"),
        mqtt_packets.publish("$iothub/twin/GET/?$rid=1", b""),
        mqtt_packets.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", b"[" * 5000),
        mqtt_packets.publish("$iothub/methods/res/200/?$rid=1", b"{}"),
        b"\x82\x0b\0\1\0\6a/b/c#\1",
        b"\x40\x02\0\1",
        b"\xc0\0",
        b"\x30\xff\xff\xff\x7f",
        b"\x30\x80\x80\x80\x80\x01",
        b"\x36\x05\0\1a\0\1",
    ]


@fuzzed
@given(st.data())
def test_mqtt_survives_hostile_bytes_from_the_first_byte(hub, data):
    _, parts = mqtt_parts(hub["key"])
    talk(hub, "mqtt_port", data.draw(mangled(parts)), tls=True)


@fuzzed
@given(st.data())
def test_mqtt_survives_hostile_bytes_after_connect(hub, data):
    connect, parts = mqtt_parts(hub["key"])
    answer = talk(hub, "mqtt_port", connect, tls=True, after=data.draw(mangled(parts)))
    assert answer.startswith(b"\x20\x02")


UPGRADE = (
    "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {}\r\n\r\n"
)
WEBSOCKET_PARTS = [
    b"\x82\x88\0\0\0\0" + AMQP_HEADER,
    b"\x82\x82\0\0\0\0\xc0\0",
    b"\x89\x80\0\0\0\0",
    b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x02\x81\0\0\0\0x\x80\x81\0\0\0\0y",
    b"\x88\x82\0\0\0\0\x03\xe8",
]


@fuzzed
@given(mangled(WEBSOCKET_PARTS), st.sampled_from(["mqtt", "AMQPWSB10", "other"]))
def test_websocket_survives_hostile_bytes(hub, data, protocol):
    upgrade = UPGRADE.format(protocol).encode()
    answer = talk(hub, "https_port", upgrade, tls=True, after=data)
    assert answer.startswith(b"HTTP/1.1 101")


MEMBERS = st.sampled_from(
    ["symmetricKey", "primaryKey", "x509Thumbprint", "primaryThumbprint", "type", "desired",
     "reported", "iotEdge", "id", "moduleId", "importMode", "value", "$version"]
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=10), MEMBERS), inner, max_size=4),
    ),
    max_leaves=15,
)
NAMED = st.fixed_dictionaries(
    {},
    optional={
        name: JSON
        for name in (
            "deviceId", "status", "authentication", "capabilities", "etag", "tags", "properties",
            "methodName", "payload", "responseTimeoutInSeconds", "query", "id", "importMode",
            "content", "body", "system", "ack", "expiry",
        )
    },
)  # fmt: skip
PATHS = (
    "/devices", "/devices/", "/devices/fuzz", "/devices/new%2Fone", "/devices/query",
    "/devices/fuzz/modules", "/devices/fuzz/modules/m", "/twins/fuzz", "/twins/fuzz/methods",
    "/twins/nobody", "/devices/fuzz/commands", "/devices/fuzz/messages/deviceBound",
    "/statistics/devices", "/configurations", "/configurations/c", "/local/events",
    "/local/authorities/a", "/local/devices/fuzz/modules/m/inputs/i", "/%ff", "/nothing",
)  # fmt: skip


@fuzzed
@given(
    st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE"]),
    st.sampled_from([path for path in PATHS if path != "/devices/fuzz"]),
    st.one_of(
        st.one_of(NAMED, JSON, st.lists(NAMED, max_size=3)).map(lambda v: json.dumps(v).encode()),
        st.binary(max_size=50),
        st.sampled_from([b"[" * 20000, b'{"a":' * 20000, b"1" * 20000]),
    ),
    st.sampled_from([{}, {"If-Match": "*"}, {"If-Match": '"x"'}, {"Content-Type": "text/plain"},
                     {"Content-Type": "application/vnd.local-hub.c2d+json"},
                     {"x-ms-max-item-count": "-1"}, {"x-ms-continuation": "zz"},
                     {"iothub-expiry": "soon"}]),
)  # fmt: skip
def test_rest_survives_hostile_requests(hub, method, path, body, headers):
    status, answer = rest(hub, method, path, body, headers)
    assert status < 500 or status == 504, (status, answer)
    if status >= 400 and answer:
        assert b"Message" in answer or b"errors" in answer or status in (404, 405), answer


@fuzzed
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=100))
def test_rest_refuses_hostile_tokens(hub, token):
    status, _ = rest(hub, "GET", "/devices/fuzz", headers={"Authorization": token})
    assert status == 401
