"""iothub.amqp.transport against a hub in memory: links, tokens, outcomes, and what is lost."""

import asyncio
import json

from host_tests.support.hostile_amqp import FRAMES, LIMIT, of
from host_tests.support.hostile_amqp import MESSAGES as MESSAGE_BYTES
from host_tests.support.memory_amqp import AMQPHubStream, error
from host_tests.support.mutation import cases, mutated, pieces
from host_tests.support.tasks import cancel, failure, turns
from iothub.amqp import transport as module
from iothub.amqp.composites import ACCEPTED, REJECTED, RELEASED, TRANSFER, Composite
from iothub.amqp.sections import AmqpMessage
from iothub.compat import ticks_ms, unix_time
from iothub.credentials import Credentials
from iothub.dispatcher import Dispatcher
from iothub.errors import (
    HEAP_FULL,
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    OperationCancelled,
    OperationTimeout,
    ServiceError,
)
from iothub.failures import OversizedError
from iothub.messages import Message
from iothub.options import checked
from iothub.sas import sas_token

EVENTS, MESSAGES = "/devices/d/messages/events", "/devices/d/messages/devicebound"
TWIN, METHODS = "/devices/d/twin", "/devices/d/methods/devicebound"


def token(life=3600):
    return sas_token("h/devices/d", "A" * 43 + "=", unix_time() + life)


class Scene:
    def __init__(self, sastoken=None, **options):
        credentials = Credentials("h", "d", sastoken=sastoken or token())
        self.options = checked(dict(options, transport="amqp"))
        self.dispatcher = Dispatcher(self.options)
        self.transport = module.AMQPTransport(credentials, self.dispatcher, self.options, None)
        self.dispatcher.transport = self.transport
        self.problems = []
        self.dispatcher.set_handler("on_background_exception", self.problems.append)
        self.hubs = []  # what was dialled, and
        self.places = []  # where
        self.next = []  # hubs, or errors, of the dials to come

    async def dial(self, _options, _context, host, port, default_port, subprotocol):
        assert (default_port, subprotocol) == (5671, "AMQPWSB10")
        self.places.append((host, port))
        outcome = self.next.pop(0) if self.next else AMQPHubStream()
        if isinstance(outcome, Exception):
            raise outcome
        self.hubs.append(outcome)
        return outcome

    @property
    def hub(self):
        return self.hubs[-1]

    def prepared(self):
        """The hub of the next connection."""
        self.next.append(AMQPHubStream())
        return self.next[-1]

    def begin(self, *features, read_twin=False):
        wanted = list(features), read_twin
        return asyncio.create_task(self.transport.open(lambda: wanted))

    async def open(self, *features, **more):
        return await self.begin(*features, **more)

    def send(self, text):
        return asyncio.create_task(self.transport.send_message(Message(text)))

    async def answer_twin(self, body, status=200, **annotations):
        """Answer the twin request that came last."""
        await turns()
        request = self.hub.messages(TWIN)[-1]
        reply = AmqpMessage(body, correlation_id=request.properties.correlation_id)
        reply.annotations = dict(annotations, status=status)
        self.hub.deliver(TWIN, reply)
        return request.annotations


def scene(test, **settings):
    async def main():
        one = Scene(**settings)
        original, module.dial = module.dial, one.dial
        try:
            await test(one)
            await one.transport.close()
        finally:
            module.dial = original
        for hub in one.hubs:
            assert hub.closed

    asyncio.run(asyncio.wait_for(main(), 20))


# -- opening ------------------------------------------------------------------------------------


def test_token_is_shown_before_any_link_of_the_device():
    async def test(one):
        sending = one.send("early")
        assert await one.open("messages", "methods", "twin") is None
        assert one.places == [("h", None)]
        assert one.hub.heard[0] == ("sasl", "ANONYMOUS", None)
        assert one.hub.addresses() == [
            "$cbs", "$cbs", EVENTS, MESSAGES, METHODS, METHODS, TWIN, TWIN,
        ]  # fmt: skip
        kinds = [told[:2] for told in one.hub.heard]
        assert kinds.index(("message", "$cbs")) < kinds.index(("attach", EVENTS))
        (put,) = one.hub.messages("$cbs")
        assert put.body == one.transport.credentials.sastoken
        assert put.application == {
            "operation": "put-token",
            "type": "servicebus.windows.net:sastoken",
            "name": "h/devices/d",
        }
        assert one.transport.is_open()
        await sending
        assert [message.body for message in one.hub.messages(EVENTS)] == [b"early"]

    scene(test)


def test_token_may_be_shown_by_sasl():
    async def test(one):
        await one.open()
        response = ("\0d@sas.h\0" + one.transport.credentials.sastoken).encode()
        assert one.hub.heard[0] == ("sasl", "PLAIN", response)
        assert one.hub.addresses() == [EVENTS]

    scene(test, sasl="plain")


def test_failures_of_an_attempt():
    for change, kind, stage in (
        (lambda hub: hub.statuses.append(401), CredentialError, "token"),
        (
            lambda hub: hub.refuse.update({EVENTS: error("amqp:unauthorized-access")}),
            CredentialError,
            "attach",
        ),
        (
            lambda hub: hub.refuse.update({MESSAGES: error("amqp:internal-error")}),
            ServiceError,
            "attach",
        ),
        (lambda hub: hub.silent.add(EVENTS), OperationTimeout, "attach"),
        (lambda hub: hub.silent.add("$cbs"), OperationTimeout, "attach"),
        (lambda hub: hub.mechanisms.clear(), CredentialError, "sasl"),
        (lambda hub: hub.end(), ConnectionDroppedError, "read"),
    ):

        async def test(one, change=change, kind=kind, stage=stage):
            change(one.prepared())
            raised = await failure(one.begin("messages"))
            assert type(raised) is kind, raised
            assert raised.stage == stage
            assert one.hub.closed
            assert not one.transport.is_open()
            await one.open("messages")
            assert one.transport.is_open()

        scene(test, timeout=0.1)


def test_attempt_that_cannot_dial():
    async def test(one):
        refused = ConnectionFailedError("refused", "tcp")
        one.next = [refused]
        assert await failure(one.begin()) is refused
        assert not one.transport.is_open()
        await one.transport.close()

    scene(test)


def test_attempt_that_is_cancelled_is_closed():
    async def test(one):
        for address in ("$cbs", EVENTS, MESSAGES):
            one.prepared().silent.add(address)
            task = one.begin("messages")
            await turns(40)
            await cancel(task)
            await turns()
            assert one.hub.closed, address
            assert not one.transport.is_open()

    scene(test)


def test_redirect_is_followed_a_few_times():
    async def test(one):
        condition = "amqp:link:redirect"
        one.prepared().refuse[EVENTS] = error(condition, hostname="other", port=5)
        await one.open()
        assert one.places == [("h", None), ("other", 5)]
        one.hub.end()
        await one.transport.wait_closed()
        for _ in range(9):
            one.prepared().refuse[EVENTS] = error(condition, hostname="again", port=7)
        raised = await failure(one.begin())
        assert raised.code == condition
        assert len(one.places) == 2 + 4
        one.next = []

    scene(test)


def test_handler_that_is_set_while_it_connects_attaches_nothing_early():
    async def test(one):
        hub = one.prepared()
        hub.silent.add("$cbs")
        task = one.begin()
        await turns(40)
        one.dispatcher.set_handler("on_message_received", print)
        await turns()
        assert hub.addresses() == ["$cbs", "$cbs"]
        await cancel(task)
        task = asyncio.create_task(one.transport.open(one.dispatcher.wanted))
        await task
        assert MESSAGES in one.hub.addresses()
        assert one.problems == []

    scene(test)


# -- telemetry ----------------------------------------------------------------------------------


def test_outcomes_of_telemetry():
    async def test(one):
        await one.open()
        one.hub.outcomes = [ACCEPTED, REJECTED, RELEASED]
        await one.send("taken")
        raised = await failure(one.send("refused"))
        assert isinstance(raised, ServiceError)
        assert (raised.stage, raised.code) == ("disposition", "amqp:not-allowed")
        await one.send("again")
        bodies = [message.body for message in one.hub.messages(EVENTS)]
        assert bodies == [b"taken", b"refused", b"again", b"again"]
        assert len(one.transport.pending) == 0

    scene(test)


def test_rejection_without_an_error_is_final():
    """A message that seemed lost with its connection would be sent again for ever."""

    async def test(one):
        await one.open()
        one.hub.outcomes = [Composite(REJECTED)]
        raised = await failure(one.send("refused"))
        assert type(raised) is ServiceError
        assert (raised.stage, raised.code) == ("disposition", "amqp:rejected:list")
        assert len(one.transport.pending) == 0

    scene(test)


def test_what_is_not_settled_is_sent_again_on_the_next_connection():
    for how in ("end", "link", "connection"):

        async def test(one, how=how):
            await one.open()
            one.hub.outcomes = [None, None, None]
            tasks = [one.send(text) for text in ("a", "b", "c")]
            await turns()
            one.hub.unsettled.pop(0)  # the first one's outcome is lost
            one.hub.settle()
            await tasks[1]
            if how == "end":
                one.hub.end()
            elif how == "link":
                one.hub.detach(EVENTS, "amqp:link:detach-forced")
            else:
                one.hub.close_connection("amqp:connection:forced")
            lost = await one.transport.wait_closed()
            assert isinstance(lost, ConnectionDroppedError)
            assert lost.stage == {"end": "read", "link": "link", "connection": "close"}[how]
            assert not one.transport.is_open()
            await one.open()
            await tasks[0]
            await tasks[2]
            assert [message.body for message in one.hub.messages(EVENTS)] == [b"a", b"c"]

        scene(test)


def test_messages_of_many_frames():
    async def test(one):
        await one.open()
        body = "x" * 50000
        await one.send(body)
        assert one.hub.messages(EVENTS)[0].body == body.encode()

    scene(test)


def test_qos_0_is_sent_settled_or_not_at_all():
    async def test(one):
        raised = None
        try:
            one.transport.send_message(Message("early"))
        except ConnectionDroppedError as caught:
            raised = caught
        assert raised.stage == "write"
        await one.open()
        await one.send("x")
        await turns()
        assert [message.body for message in one.hub.messages(EVENTS)] == [b"x"]

    scene(test, qos=0)


# -- what comes ---------------------------------------------------------------------------------


def test_messages_are_settled_as_their_handler_says():
    async def test(one):
        await one.open("messages")
        error = ValueError("in the handler")

        def on_message(message):
            if message.data == b"bad":
                raise error
            if message.data != b"good":
                getattr(message, message.data.decode())()

        one.dispatcher.set_handler("on_message_received", on_message)
        for body in (b"good", b"reject", b"abandon", b"bad"):
            one.hub.deliver(MESSAGES, AmqpMessage(body))
        await turns(60)
        assert one.hub.dispositions() == [ACCEPTED, REJECTED, RELEASED, RELEASED]
        assert one.problems == [error]

    scene(test)


def test_message_of_a_connection_that_is_gone_is_not_settled():
    async def test(one):
        await one.open("messages")
        receipts = []
        one.dispatcher.on_message = lambda message, receipt: receipts.append(receipt)
        one.hub.deliver(MESSAGES, AmqpMessage(b"x"))
        await turns()
        one.hub.end()
        await one.transport.wait_closed()
        await one.open("messages")
        one.transport.settle(receipts[0], "complete")
        await turns()
        assert one.hub.dispositions() == []

    scene(test)


def test_methods_are_answered():
    async def test(one):
        await one.open("methods")
        one.dispatcher.set_handler(
            "on_method_request_received", lambda request: (201, [request.name, request.payload])
        )
        call = AmqpMessage(b'{"a": 1}', correlation_id="rid")
        call.application = {"IoThub-methodname": "reboot"}
        one.hub.deliver(METHODS, call)
        await turns(40)
        (answer,) = one.hub.messages(METHODS)
        assert json.loads(bytes(answer.body)) == ["reboot", {"a": 1}]
        assert answer.application == {"IoThub-status": 201}
        assert answer.properties.correlation_id == "rid"
        assert one.hub.dispositions() == [ACCEPTED]

    scene(test)


def test_what_cannot_be_read_is_refused_and_reported():
    async def test(one):
        await one.open("methods", "messages")
        one.hub.deliver(METHODS, AmqpMessage(b"{}"))  # without a name
        await turns()
        assert one.hub.dispositions() == [REJECTED]
        assert len(one.problems) == 1
        assert one.transport.is_open()

    scene(test)


def test_request_that_does_not_fit_the_heap_is_refused_and_the_twin_is_read():
    """It may be one that never fits: it must not end the connection, and the next, and so on."""
    dispatched = module.decode_message

    def decode_message(data):
        if b"bomb" in data:
            raise MemoryError
        return dispatched(data)

    async def test(one):
        module.decode_message = decode_message
        one.dispatcher.set_handler("on_twin_desired_properties_patch_received", print)
        await one.open("methods", "twin")
        for address in (METHODS, TWIN):
            one.hub.deliver(address, AmqpMessage(b"bomb"))
        await turns(40)
        assert one.hub.dispositions() == [REJECTED, REJECTED]
        assert one.problems == [HEAP_FULL, HEAP_FULL]
        assert one.transport.is_open()
        assert one.hub.messages(TWIN)[-1].annotations == {"operation": "GET"}

    try:
        scene(test)
    finally:
        module.decode_message = dispatched


def test_what_is_too_large():
    async def test(one):
        await one.open("messages", "methods", "twin")
        body = bytes(500)
        one.hub.deliver(MESSAGES, AmqpMessage(body))
        call = AmqpMessage(body, correlation_id="rid")
        call.application = {"IoThub-methodname": "reboot"}
        one.hub.deliver(METHODS, call)
        one.hub.deliver(TWIN, AmqpMessage(body))
        asking = asyncio.create_task(one.transport.request_twin())
        await one.answer_twin(body)
        raised = await failure(asking)
        assert isinstance(raised, OversizedError)
        assert raised.stage == "twin"
        (answer,) = one.hub.messages(METHODS)
        assert answer.application == {"IoThub-status": 413}
        stages = sorted([problem.stage for problem in one.problems])
        assert stages == ["desired", "message", "method"]
        assert one.dispatcher.dropped == 1

    scene(test, max_inbound=400)


# -- twin ---------------------------------------------------------------------------------------


def test_twin_requests():
    async def test(one):
        await one.open()
        asking = asyncio.create_task(one.transport.request_twin())
        await turns(40)
        assert one.hub.addresses()[-2:] == [TWIN, TWIN]
        assert await one.answer_twin(b'{"a": 1}', version=4) == {"operation": "GET"}
        assert await asking == (b'{"a": 1}', 4)
        asking = asyncio.create_task(one.transport.request_twin(b'{"b": 2}'))
        annotations = await one.answer_twin(b"", version=5)
        assert annotations == {"operation": "PATCH", "resource": "/properties/reported"}
        assert one.hub.messages(TWIN)[-1].body == b'{"b": 2}'
        assert (await asking)[1] == 5
        asking = asyncio.create_task(one.transport.request_twin())
        await one.answer_twin(b"", status=429)
        raised = await failure(asking)
        assert isinstance(raised, ServiceError)
        assert raised.code == 429
        assert one.hub.addresses().count(TWIN) == 2

    scene(test)


def test_twin_requests_at_once_share_their_links():
    async def test(one):
        await one.open()
        tasks = [asyncio.create_task(one.transport.request_twin()) for _ in range(3)]
        await turns(60)
        assert one.hub.addresses().count(TWIN) == 2
        for request in one.hub.messages(TWIN):
            rid = request.properties.correlation_id
            reply = AmqpMessage(rid.encode(), correlation_id=rid)
            reply.annotations = {"status": 200}
            one.hub.deliver(TWIN, reply)
        bodies = []
        for task in tasks:
            bodies.append((await task)[0])
        assert len(set(bodies)) == 3

    scene(test)


def test_twin_link_that_is_refused_is_asked_for_again():
    for how in ("refused", "silent"):

        async def test(one, how=how):
            await one.open()
            if how == "refused":
                one.hub.refuse[TWIN] = error("amqp:resource-limit-exceeded")
            else:
                one.hub.silent.add(TWIN)
            raised = await failure(one.transport.request_twin())
            assert type(raised) is (ServiceError if how == "refused" else OperationTimeout)
            assert raised.stage == "attach"
            one.hub.refuse, one.hub.silent = {}, set()
            asking = asyncio.create_task(one.transport.request_twin())
            await turns(40)
            await one.answer_twin(b"{}", version=1)
            assert await asking == (b"{}", 1)
            assert one.transport.is_open()

        scene(test, timeout=0.3)


def test_feature_that_is_refused_is_asked_for_again():
    async def test(one):
        await one.open()
        one.hub.refuse[METHODS] = error("amqp:resource-limit-exceeded")
        assert isinstance(await failure(one.transport.enable("methods")), ServiceError)
        one.hub.refuse = {}
        await one.transport.enable("methods")
        call = AmqpMessage(b"{}", correlation_id="rid")
        call.application = {"IoThub-methodname": "reboot"}
        one.hub.deliver(METHODS, call)
        await turns(40)
        (answer,) = one.hub.messages(METHODS)
        assert answer.application == {"IoThub-status": 404}

    scene(test)


def test_desired_properties_are_subscribed_and_told():
    async def test(one):
        task = one.begin("twin", "desired", read_twin=True)
        await turns(60)
        request = await one.answer_twin(b"")
        assert request == {
            "operation": "PUT",
            "resource": "/notifications/twin/properties/desired",
        }
        twin = await task
        assert (await one.answer_twin(b'{"desired": 1}', version=2))["operation"] == "GET"
        assert await twin == (b'{"desired": 1}', 2)
        told = []
        one.dispatcher.on_desired = told.append
        one.hub.deliver(TWIN, AmqpMessage(b'{"a": 1}'))
        await turns()
        assert told == [b'{"a": 1}']

    scene(test)


def test_requests_of_a_connection_that_ends_are_dropped():
    async def test(one):
        await one.open("twin")
        asking = asyncio.create_task(one.transport.request_twin())
        await turns()
        one.hub.end()
        assert isinstance(await failure(asking), ConnectionDroppedError)
        await one.transport.wait_closed()
        for raised in (
            await failure(one.transport.request_twin()),
            await failure(one.transport.send_to("/a", AmqpMessage(b""))),
        ):
            assert isinstance(raised, ConnectionDroppedError)

    scene(test)


def test_message_to_an_address_of_its_own():
    async def test(one):
        await one.open()
        await one.transport.send_to("/feedback", AmqpMessage(b"x"))
        await turns()
        assert [message.body for message in one.hub.messages("/feedback")] == [b"x"]
        assert one.hub.heard[-1] == ("detach", "/feedback")
        one.hub.outcomes = [REJECTED]
        raised = await failure(one.transport.send_to("/feedback", AmqpMessage(b"x")))
        assert isinstance(raised, ServiceError)
        one.hub.refuse["/other"] = error("amqp:not-found")
        raised = await failure(one.transport.send_to("/other", AmqpMessage(b"x")))
        assert raised.code == "amqp:not-found"
        assert one.transport.is_open()

    scene(test)


# -- the token ----------------------------------------------------------------------------------


def test_new_token_is_put_on_the_connection_that_stands():
    async def test(one):
        await one.open()
        one.transport.credentials.sastoken = second = token(7200)
        await one.transport.renew()
        assert [put.body for put in one.hub.messages("$cbs")][-1] == second
        assert len(one.hubs) == 1
        assert one.transport.token() == second

    scene(test)


def test_new_token_that_is_refused_leaves_the_connection_as_it_was():
    async def test(one):
        await one.open()
        one.hub.statuses = [401]
        raised = await failure(one.transport.renew())
        assert isinstance(raised, CredentialError)
        assert (raised.stage, raised.code) == ("token", 401)
        await one.send("after")
        assert one.transport.is_open()

    scene(test)


def test_links_for_tokens_that_the_hub_ends_are_attached_anew():
    async def test(one):
        await one.open()
        for receives in (False, True):
            before = one.hub.addresses().count("$cbs")
            one.hub.detach("$cbs", "amqp:link:detach-forced", receives)
            await turns()
            assert one.transport.is_open()
            await one.transport.renew()
            assert one.hub.addresses().count("$cbs") == before + 2

    scene(test)


# -- deadlines and the end ----------------------------------------------------------------------


def test_tick_ends_a_connection_whose_messages_are_not_settled():
    async def test(one):
        await one.open()
        one.hub.outcomes = [None]
        sending = one.send("a")
        await turns()
        now = ticks_ms()
        one.transport.tick(now)
        one.transport.tick(now + 21000)
        lost = await one.transport.wait_closed()
        assert (type(lost), lost.stage) == (OperationTimeout, "disposition")
        assert not sending.done()
        one.transport.tick(now + 121000)
        raised = await failure(sending)
        assert (type(raised), raised.stage) == (OperationTimeout, "disposition")

    scene(test)


def test_tick_sends_heartbeats_and_ends_a_silent_connection():
    async def test(one):
        await one.open()
        now = ticks_ms()
        count = len(one.hub.writes)
        one.transport.tick(now + 39000)
        await turns()
        assert len(one.hub.writes) == count
        one.transport.tick(now + 41000)  # a third of what the hub waits
        await turns()
        assert one.hub.writes[count:] == [b"\0\0\0\x08\x02\0\0\0"]
        one.transport.tick(now + 89000)
        assert one.transport.is_open()
        one.transport.tick(now + 91000)  # one and a half times the keep-alive
        lost = await one.transport.wait_closed()
        assert (type(lost), lost.stage) == (OperationTimeout, "ping")

    scene(test)


def test_close_waits_for_outcomes_and_says_good_bye():
    async def test(one):
        await one.open()
        one.hub.outcomes = [None]
        sending = one.send("a")
        await turns()
        closing = asyncio.create_task(one.transport.close())
        await turns()
        assert not closing.done()
        one.hub.settle()
        await closing
        await sending
        assert one.hub.heard[-1] == ("close",)
        assert one.problems == []

    scene(test)


def test_close_with_a_message_that_is_released_sends_it_again_first():
    async def test(one):
        await one.open()
        one.hub.outcomes = [None, ACCEPTED]
        sending = one.send("a")
        await turns()
        closing = asyncio.create_task(one.transport.close())
        await turns()
        one.hub.settle(RELEASED)
        await closing
        await sending
        assert [message.body for message in one.hub.messages(EVENTS)] == [b"a", b"a"]

    scene(test)


def test_close_with_what_is_never_settled():
    async def test(one):
        await one.open()
        one.hub.outcomes = [None]
        sending = one.send("a")
        await turns()
        await one.transport.close()
        assert isinstance(await failure(sending), OperationCancelled)
        assert one.hub.heard[-1] == ("close",)
        await turns()
        assert [problem.stage for problem in one.problems] == ["disconnect"]

    scene(test, timeout=0.05)


# -- hostile bytes ------------------------------------------------------------------------------


def transfer(number, message, **fields):
    """A transfer on one of the links by which the device receives."""
    return of(
        TRANSFER, message, handle=(3, 5, 7)[number % 3], delivery_id=number,
        delivery_tag=b"%d" % number, **fields
    )  # fmt: skip


def test_hostile_frames_end_a_connection_at_a_stage():
    transfers = tuple([transfer(number, MESSAGE_BYTES[number % 5]) for number in range(9)])
    transfers += transfer(9, b"z" * 4000, more=True), transfer(10, b"y" * 4000, more=True)
    stages = set()

    async def nowhere(_):
        pass

    for chance in cases(40):

        async def test(one, chance=chance):
            one.dispatcher.set_handler("on_message_received", lambda _: None)
            one.dispatcher.set_handler("on_method_request_received", lambda _: 200)
            await one.open("messages", "methods", "twin")
            one.hub.write = nowhere  # it does not know what it has sent
            for piece in pieces(chance, mutated(chance, FRAMES + transfers + transfers, 12)):
                one.hub.send(piece)
            one.hub.end()
            error = await one.transport.wait_closed()
            stages.add(error.stage)

        scene(test, max_inbound=LIMIT)
    assert "read" in stages
    assert stages <= {"read", "attach", "link", "close", "sasl", "token"}, stages
