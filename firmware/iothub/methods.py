"""Direct methods: requests, answers, and the handlers that run. Loaded with the first of them."""

import json

from .compat import Future, const, wait_for
from .errors import OperationTimeout

_MAX_METHODS = const(8)  # that run at once


class MethodRequest:
    """A direct method called by the service: `name` and `payload` (decoded JSON, or None)."""

    def __init__(self, request_id, name, payload):
        self.request_id = request_id
        self.name = name
        self.payload = payload


class MethodResponse:
    """The answer to a direct method: an int `status`, and a `payload` that JSON can hold."""

    def __init__(self, request_id, status, payload=None):
        self.request_id = request_id
        self.status = status
        self.payload = payload

    @classmethod
    def create_from_method_request(cls, method_request, status, payload=None):
        return cls(method_request.request_id, status, payload)


class MethodCalls:
    """The methods that run: each is answered once, by what its handler returns or by respond()."""

    def __init__(self, dispatcher, transport, options):
        self._transport = transport
        self._dispatcher = dispatcher
        self._timeout = options["handler_timeout"]
        self._answered = {}  # request id: Future, set once the method is answered

    def is_idle(self):
        """Whether none runs."""
        return not self._answered

    def begin(self, handler, name, rid, body):
        """Run the handler. A method that is asked twice runs once."""
        status = 0
        try:
            payload = json.loads(body) if body else None
        except Exception:  # no JSON, or nested more deeply than the stack allows
            status = 400
        if rid in self._answered:
            return
        if status or len(self._answered) >= _MAX_METHODS:
            self._transport.respond(rid, status or 429, b"")
        else:
            self._answered[rid] = Future()
            try:
                self._dispatcher.run(self._run, handler, MethodRequest(rid, name, payload))
            except MemoryError:
                del self._answered[rid]
                raise

    async def _run(self, handler, request):
        rid = request.request_id
        answered = self._answered[rid]
        try:
            result = await self._dispatcher.call(handler, request)
            if result is None:
                # The handler answers by itself, with send_method_response(): now or soon.
                await wait_for(answered, self._timeout, "method")
            elif not answered.done():
                if isinstance(result, MethodResponse):
                    result = result.status, result.payload
                elif not isinstance(result, tuple):
                    result = 200, result
                self.respond(rid, *result)
        except Exception as error:
            self._dispatcher.report(error)
            if not answered.done() and self._transport.is_open():
                self.respond(rid, 504 if isinstance(error, OperationTimeout) else 500)
        finally:
            if not answered.done() and self._transport.is_open():  # the handler was cancelled
                self._transport.respond(rid, 500, b"")
            self._answered.pop(rid, None)

    def respond(self, rid, status, payload=None):
        """Answer a method."""
        body = b"" if payload is None else json.dumps(payload).encode()
        self._transport.respond(rid, status, body)
        answered = self._answered.get(rid)
        if answered is not None:
            answered.set_result()


async def send_method_response(supervisor, method_response):
    """The client's method: answer a direct method (a MethodResponse)."""
    calls, response = supervisor.dispatcher.part("methods"), method_response
    calls.respond(response.request_id, response.status, response.payload)
