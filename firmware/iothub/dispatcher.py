"""Dispatcher: hands what the hub sends to the program's handlers, and reports what goes wrong.

A handler is a function or a coroutine function; what it raises is reported. Each kind has a file
of its own, loaded with the first handler for it: inbox.py for cloud-to-device messages and the
order in which handlers run, twin.py for desired properties, methods.py for direct methods.

A transport calls on_message(), on_method(), on_desired(), on_dropped(), on_handover(),
on_token_expiring() and report(), and asks is_idle().
"""

import asyncio

from . import errors
from .compat import wait_for

_FEATURES = ("messages", "methods", "desired")


class Dispatcher:
    """handled: messages and changes that handlers were given. dropped: cloud-to-device messages
    that were not settled, and come again. handlers: {name: function or None}, the names being
    those of features, and "state", "background", "token".
    """

    def __init__(self, options):
        self.handled = 0
        self.dropped = 0
        self.handlers = {}
        self.transport = None  # the one whose events these are
        self._options = options
        self._tasks = set()
        self._inbox = self._twin = self._methods = None

    def set_handler(self, name, handler):
        """Set a handler. That of a feature asks the hub for it."""
        self.handlers[name] = handler
        if handler is not None and name in _FEATURES:
            if name == "desired":
                self.twin()
            if self.transport.is_open():
                self.run(self.transport.enable, name)

    def wanted(self):
        """(features that the hub must be asked for, whether the twin is to be read)."""
        features = [name for name in ("messages", "methods") if self.handlers.get(name)]
        if self._twin is None:
            return features, False
        return features + ["desired", "twin"], self._twin.begin()

    # -- running ----------------------------------------------------------------------------

    def run(self, function, *arguments):
        """Run a coroutine function in a task of its own; what it raises is reported."""
        self._tasks.add(asyncio.create_task(self._guarded(function, arguments)))

    async def _guarded(self, function, arguments):
        try:
            await function(*arguments)
        except Exception as error:
            self.report(error)
        self._tasks.discard(asyncio.current_task())

    async def call(self, handler, *arguments):
        """What a handler returns, be it a function or a coroutine; within its deadline."""
        if handler is None:
            return None
        result = handler(*arguments)
        if hasattr(result, "send") or hasattr(result, "__await__"):
            result = await wait_for(result, self._options["handler_timeout"], "handler")
        return result

    def report(self, error):
        """Tell the program of a failure behind its back: by its handler, or on the console."""
        handler = self.handlers.get("background")
        if errors.logger:
            errors.logger(40, getattr(error, "stage", None), error)
        elif handler is None:
            print("iothub: %s: %s" % (type(error).__name__, error))
        if handler is not None:
            self.run(self._report, handler, error)

    async def _report(self, handler, error):
        try:
            await self.call(handler, error)
        except Exception as own:  # a reporter that fails is not asked to report that
            print("iothub: on_background_exception: %s" % type(own).__name__)

    # -- the parts, made when they are first asked for ----------------------------------------

    def inbox(self):
        if self._inbox is None:
            from .inbox import Inbox

            self._inbox = Inbox(self, self.transport)
        return self._inbox

    def twin(self):
        if self._twin is None:
            from .twin import TwinSynchronizer

            self._twin = TwinSynchronizer(self.transport, self, self._options)
        return self._twin

    def methods(self):
        if self._methods is None:
            from .methods import MethodCalls

            self._methods = MethodCalls(self.transport, self, self._options)
        return self._methods

    # -- what a transport says --------------------------------------------------------------

    def is_idle(self):
        """Whether nothing that the hub sent is being dealt with."""
        return (self._inbox is None or self._inbox.is_idle()) and not self._methods

    def on_message(self, message, receipt):
        """A cloud-to-device message, to be settled with `receipt`."""
        handler = self.handlers.get("messages")
        if handler is None:
            self.dropped += 1  # the hub remembers an earlier program's subscription
        else:
            self.inbox().on_message(handler, message, receipt)

    def on_dropped(self, error):
        """A cloud-to-device message that was not kept, such as one over max_inbound."""
        self.dropped += 1
        self.report(error)

    def on_method(self, name, rid, body):
        """A direct method; `body`: JSON, or empty."""
        handler = self.handlers.get("methods")
        if handler is None:
            self.transport.respond(rid, 404, b"")
        else:
            self.methods().begin(handler, name, rid, body)

    def on_desired(self, body):
        """A change of desired properties (JSON). One that no handler asked for is dropped."""
        if self._twin is not None:
            self._twin.on_patch(body)

    def on_handover(self):
        """The transport goes on, with a new token, on another connection."""
        self.on_disconnected()
        if self._twin is not None and self._twin.begin():
            self.run(self._twin.synchronize)

    def on_token_expiring(self):
        """A ready token is near its end."""
        self.run(self.call, self.handlers.get("token"))

    # -- what the supervisor and the client say ---------------------------------------------

    def on_connected(self, twin):
        """There is a connection. twin: a Future for the twin that was asked for, or None."""
        if twin is not None:
            self.run(self._twin.synchronize, twin)

    def on_disconnected(self):
        """The connection is gone."""
        if self._inbox is not None:
            self._inbox.on_disconnected()

    def close(self):
        """The client is shut down."""
        if self._inbox is not None:
            self._inbox.close()
