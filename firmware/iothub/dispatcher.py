"""Dispatcher: hands what the hub sends to the program's handlers, and reports what goes wrong.

A handler is a function or a coroutine function; what it raises is reported. Each kind has a file
of its own: inbox.py for cloud-to-device messages and the order in which handlers run, twin.py for
desired properties, methods.py for direct methods.

A transport calls on_message(), on_method(), on_desired() and report(), and asks is_idle().
"""

import asyncio

from . import errors
from .compat import wait_for

# The client's handlers, and the features that the hub must be asked for.
HANDLERS = {
    "on_connection_state_change": None,
    "on_background_exception": None,
    "on_new_sastoken_required": None,
    "on_message_received": "messages",
    "on_method_request_received": "methods",
    "on_twin_desired_properties_patch_received": "desired",
}
# The parts, each in a file of its own, which is loaded with the first handler that needs it.
_PARTS = {"inbox": "Inbox", "twin": "TwinSynchronizer", "methods": "MethodCalls"}


class Dispatcher:
    """handled: messages and changes that handlers were given. dropped: cloud-to-device messages
    that were not settled, and come again. handlers: {the client's attribute: function or None}.
    """

    def __init__(self, options):
        self.handled = 0
        self.dropped = 0
        self.handlers = {}
        self.transport = None  # the one whose events these are
        self._options = options
        self._tasks = set()
        self._parts = {}  # name: object

    def set_handler(self, name, handler):
        """Set a handler. That of a feature asks the hub for it."""
        self.handlers[name] = handler
        feature = HANDLERS[name]
        if handler is not None and feature is not None:
            # At once: compiling needs more heap than the code has, and there is most of it now.
            self.part("methods" if feature == "methods" else "inbox")
            self.transport.prepare()
            if feature == "desired":
                self.part("twin")
            if self.transport.is_open():
                self.run(self.transport.enable, feature)

    def wanted(self):
        """(features that the hub must be asked for, whether the twin is to be read)."""
        features = []
        for name, feature in HANDLERS.items():
            if feature is not None and self.handlers.get(name):
                features.append(feature)
        if "twin" not in self._parts:
            return features, False
        return features + ["twin"], self._parts["twin"].begin()

    def part(self, name):
        """inbox, twin or methods: made when it is first asked for."""
        if name not in self._parts:
            module = __import__(name, globals(), None, ("*",), 1)
            made = getattr(module, _PARTS[name])(self, self.transport, self._options)
            self._parts[name] = made
        return self._parts[name]

    # -- running ----------------------------------------------------------------------------

    def run(self, function, *arguments):
        """Run a coroutine function in a task of its own; what it raises is reported."""
        self._tasks.add(asyncio.create_task(self._guarded(function, arguments)))

    async def _guarded(self, function, arguments):
        try:
            await function(*arguments)
        except Exception as error:
            self.report(error)
        finally:
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
        """Tell the program of a failure behind its back: by its handler, or on the console.

        It raises nothing: where the heap is full nothing can be told.
        """
        handler = self.handlers.get("on_background_exception")
        error = errors.kept(error)
        try:
            if errors.logger:
                errors.logger(40, getattr(error, "stage", None), error)
            elif handler is None:
                print("iothub: %s: %s" % (type(error).__name__, error))
            if handler is not None:
                self.run(self._report, handler, error)
        except MemoryError:
            pass

    async def _report(self, handler, error):
        try:
            await self.call(handler, error)
        except Exception as own:  # a reporter that fails is not asked to report that
            print("iothub: on_background_exception: %s" % type(own).__name__)

    # -- what a transport says --------------------------------------------------------------

    def is_idle(self):
        """Whether nothing that the hub sent is being dealt with."""
        idle = True
        for part in self._parts.values():
            idle = idle and part.is_idle()
        return idle

    def on_message(self, message, receipt):
        """A cloud-to-device message, to be settled with `receipt`."""
        handler = self.handlers.get("on_message_received")
        if handler is None:
            self.dropped += 1  # the hub remembers an earlier program's subscription
        else:
            self.part("inbox").on_message(handler, message, receipt)

    def on_method(self, name, rid, body):
        """A direct method; `body`: JSON, or empty."""
        handler = self.handlers.get("on_method_request_received")
        if handler is None:
            self.transport.respond(rid, 404, b"")
        else:
            self.part("methods").begin(handler, name, rid, body)

    def on_desired(self, body):
        """A change of desired properties (JSON; None: it had no room). One that no handler asked
        for is dropped.
        """
        if "twin" in self._parts:
            self._parts["twin"].on_patch(body)

    # -- what the supervisor and the client say ---------------------------------------------

    def tick(self):
        """Do what an earlier moment had no heap for; it is called once a second."""
        if "inbox" in self._parts:
            self._parts["inbox"].tick()

    def on_disconnected(self):
        """The connection is gone."""
        if "inbox" in self._parts:
            self._parts["inbox"].on_disconnected()

    def close(self):
        """The client is shut down."""
        if "inbox" in self._parts:
            self._parts["inbox"].close()
