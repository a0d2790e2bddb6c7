"""The receiving half of the client: what the hub sends, handed to the program's handlers.

One worker task takes messages and twin changes in order; each direct method runs in a task of
its own. A handler is a function or a coroutine function; what it raises is reported, never lost.
"""

import asyncio
import json

from . import errors
from .compat import const
from .deadline import Answer, within
from .errors import ConnectionDroppedError, OperationTimeout, RefusedError
from .messages import MethodRequest, MethodResponse

_MAX_INBOX = const(50)
_MAX_METHODS = const(8)


def _handler(name, feature=None):
    """A property that holds a handler; setting it turns `feature` on."""

    def put(self, handler):
        self._handlers[name] = handler
        if handler is not None and feature is not None:
            self._enable(feature)

    return property(lambda self: self._handlers.get(name), put)


class Handlers:
    """Mixed into a client, which has _options, _transport, _backoff and connected."""

    on_connection_state_change = _handler("state")
    on_background_exception = _handler("background")
    on_new_sastoken_required = _handler("sastoken")
    on_message_received = _handler("messages", "messages")
    on_method_request_received = _handler("methods", "methods")
    on_twin_desired_properties_patch_received = _handler("desired", "desired")

    def __init__(self):
        self.handled = 0  # messages and changes that handlers were given
        self.dropped = 0  # C2D messages left unacknowledged: they come again
        self._handlers = {}
        self._inbox = []  # (receipt or None, coroutine function, argument …), oldest first
        self._arrived = asyncio.Event()
        self._busy = False  # with one that is out of the inbox already
        self._methods = {}  # rid: Answer, given once the method is answered
        self._tasks = set()
        self._desired = None  # twin.Desired, once there is a handler for it

    def _features(self):
        """What the hub must be subscribed to, for the handlers that are set."""
        features = {name for name in ("messages", "methods") if self._handlers.get(name)}
        return features | {"desired", "twin"} if self._desired is not None else features

    def _enable(self, feature):
        if feature == "desired" and self._desired is None:
            from .twin import Desired

            self._desired = Desired()
        if self.connected:  # type: ignore[attr-defined]
            self._run(self._transport.enable, feature)  # type: ignore[attr-defined]

    # -- running handlers -------------------------------------------------------------------

    def _run(self, function, *arguments):
        """Run a coroutine function in a task of its own; what it raises is reported."""
        self._tasks.add(asyncio.create_task(self._guarded(function, arguments)))

    async def _guarded(self, function, arguments):
        try:
            await function(*arguments)
        except Exception as error:
            self.problem(error)
        self._tasks.discard(asyncio.current_task())

    async def _call(self, handler, *arguments):
        """What a handler returns, be it a function or a coroutine; within its deadline."""
        if handler is None:
            return None
        result = handler(*arguments)
        if hasattr(result, "send") or hasattr(result, "__await__"):
            result = await within(self._options["handler_timeout"], "handler", result)  # type: ignore[attr-defined]
        return result

    def problem(self, error):
        """Report what went wrong behind the program's back: to its handler, or the console."""
        if errors.tell:
            errors.tell(40, getattr(error, "stage", None), error)
        elif self.on_background_exception is None:
            print("iothub: %s: %s" % (type(error).__name__, error))
        if self.on_background_exception is not None:
            self._run(self._report, error)

    async def _report(self, error):
        try:
            await self._call(self.on_background_exception, error)
        except Exception as own:  # a reporter that fails is not asked to report that
            print("iothub: on_background_exception: %s" % type(own).__name__)

    def _post(self, *item):
        self._inbox.append(item)
        self._arrived.set()

    async def _work(self):
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._inbox:
                item = self._inbox.pop(0)
                if item is None:
                    return
                self._busy = True
                self.handled += 1
                try:
                    await item[1](*item[2:])
                except Exception as error:
                    self.problem(error)
                self._busy = False

    def calm(self):
        """Whether nothing of the hub's is being dealt with."""
        return not (self._busy or self._inbox or self._methods)

    def _forget_receipts(self):
        """What came on a connection that is gone can no longer be acknowledged; it comes again."""
        self._inbox = [item for item in self._inbox if item is None or item[0] is None]

    # -- the transport calls these ----------------------------------------------------------

    def received(self, message, receipt):
        """A C2D message: acknowledged only once its handler has succeeded."""
        if self.on_message_received is None:
            self.dropped += 1  # the hub remembers an earlier program's subscription
        elif len(self._inbox) >= _MAX_INBOX:
            self.dropped += 1
            self.problem(ValueError("more messages wait than are kept: one will come again"))
        else:
            self._post(receipt, self._message, message, receipt)

    async def _message(self, message, receipt):
        outcome = "abandon"
        try:
            await self._call(self.on_message_received, message)
            outcome = message.outcome
        finally:
            self._transport.settle(receipt, outcome)  # type: ignore[attr-defined]

    def oversized(self, error):
        """A C2D message over max_inbound, which was not kept (an OversizedError)."""
        self.dropped += 1
        self.problem(error)

    def desired(self, body):
        """A change of desired properties (JSON bytes)."""
        if self._desired is None:
            return  # as with messages: nobody asked, in this program
        changes = self._desired.patch(json.loads(body))
        if changes is None:
            self._desired.expect()
            self._run(self._resync)
        else:
            self._tell_desired(changes)

    async def _resync(self, twin=None):
        """Read the twin, which may have been asked for already, and tell what it changes."""
        from .twin import desired_of

        while self.connected:  # type: ignore[attr-defined]
            try:
                if twin is None:
                    body, _ = await self._transport.request_twin()  # type: ignore[attr-defined]
                else:
                    body, _ = await within(self._options["timeout"], "twin", twin.wait())  # type: ignore[attr-defined]
                self._tell_desired(self._desired.whole(desired_of(json.loads(body))))
                return
            except ConnectionDroppedError:
                return  # the next connection asks for it, once
            except (OSError, RefusedError) as error:
                self.problem(error)
                twin = None
                await asyncio.sleep(self._backoff.next())  # type: ignore[attr-defined]
            except Exception:  # too large, or no twin: what changes is told all the same
                if not self.connected:  # type: ignore[attr-defined]
                    return
                self._tell_desired(self._desired.unread())
                raise

    def _tell_desired(self, changes):
        for change in changes:
            self._post(None, self._call, self.on_twin_desired_properties_patch_received, change)

    def method(self, name, rid, body):
        """A direct method, answered by what its handler returns. One asked twice runs once."""
        status = 0 if self.on_method_request_received is not None else 404
        try:
            payload = json.loads(body) if body else None
        except Exception:  # no JSON, or nested more deeply than there is stack
            status = 400
        if rid in self._methods:
            return
        if status or len(self._methods) >= _MAX_METHODS:
            self._transport.send_method_response(rid, status or 429, b"")  # type: ignore[attr-defined]
        else:
            self._methods[rid] = Answer()
            self._run(self._method, MethodRequest(rid, name, payload))

    async def _method(self, request):
        rid = request.request_id
        answered = self._methods[rid]
        try:
            result = await self._call(self.on_method_request_received, request)
            if result is None:
                # The handler answers by itself, with send_method_response(): now or soon.
                await within(self._options["handler_timeout"], "method", answered.wait())  # type: ignore[attr-defined]
            elif not answered.given:
                await self.send_method_response(_response(rid, result))
        except Exception as error:
            self.problem(error)
            if not answered.given and self.connected:  # type: ignore[attr-defined]
                status = 504 if isinstance(error, OperationTimeout) else 500
                await self.send_method_response(MethodResponse(rid, status))
        finally:
            self._methods.pop(rid, None)

    async def send_method_response(self, method_response):
        """Answer a direct method (a MethodResponse)."""
        rid, payload = method_response.request_id, method_response.payload
        body = b"" if payload is None else json.dumps(payload).encode()
        self._transport.send_method_response(rid, method_response.status, body)  # type: ignore[attr-defined]
        answered = self._methods.get(rid)
        if answered is not None:
            answered.give()


def _response(rid, result):
    """What a method's handler returned, as a MethodResponse; a payload alone means 200."""
    if isinstance(result, MethodResponse):
        return result
    status, payload = result if isinstance(result, tuple) else (200, result)
    return MethodResponse(rid, status, payload)
