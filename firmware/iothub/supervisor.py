"""Supervisor: the only one who opens and closes connections, in one task, with one state.

    event        from           to
    connect      disconnected   connecting     the first attempt, at once
                 waiting        connecting     it cuts the wait short
    accepted     connecting     connected
    give up      connecting     disconnected   a first attempt failed, or its caller gave up
                 connected      disconnected   lost, and connection_retry is off
    retry        connecting     waiting        an attempt failed, or
                 connected      waiting        the connection was lost; after a delay with jitter:
    timer        waiting        connecting
    disconnect   any            stopping       until the task has ended, and the rest is sent
    stopped      stopping       disconnected
    shutdown     disconnected   closed

connect() while stopping waits until that is done. Nobody else assigns the state.
"""

import asyncio
import gc

from . import errors
from .compat import Future, sleep_ms, ticks_ms, unix_time, wait_for
from .connection import Backoff
from .errors import (
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    NoConnectionError,
    OperationCancelled,
)

DISCONNECTED, CONNECTING, CONNECTED = "disconnected", "connecting", "connected"
WAITING, STOPPING, CLOSED = "waiting", "stopping", "closed"

STATES = (DISCONNECTED, CONNECTING, CONNECTED, WAITING, STOPPING, CLOSED)
# event: the next state, for each of STATES; None: the event cannot happen then.
TRANSITIONS = {
    "connect": (CONNECTING, None, None, CONNECTING, None, None),
    "accepted": (None, CONNECTED, None, None, None, None),
    "give up": (None, DISCONNECTED, DISCONNECTED, None, None, None),
    "retry": (None, WAITING, WAITING, None, None, None),
    "timer": (None, None, None, CONNECTING, None, None),
    "disconnect": (STOPPING, STOPPING, STOPPING, STOPPING, None, None),
    "stopped": (None, None, None, None, DISCONNECTED, None),
    "shutdown": (CLOSED, None, None, None, None, CLOSED),
}


class Supervisor:
    """transport: what it opens and closes. dispatcher: who is told of it. outbox: or None.

    connections: how many were made. losses: {stage: how many ended there}. heap_low: the least
    heap that was free after one, in bytes. last_tick: when its deadlines were looked at last, and
    connecting_since: when the attempt under way began, in ticks; None: there is none.
    """

    def __init__(self, transport, dispatcher, outbox, options):
        self.state = DISCONNECTED
        self.connections = 0
        self.losses = {}
        self.heap_low = self.last_tick = self.connecting_since = None
        self.transport = transport
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.options = options
        self._check_clock = options["check_clock"]
        self._backoff = Backoff()
        self._retry = False  # whether an attempt that fails is followed by another
        self._task = None  # runs from connect() to disconnect()
        self._ticker = None  # runs as long, and after lost connections
        self._calls = []  # Futures of connect() calls, for the attempt that is under way
        self._waiters = []  # Futures of those who wait for a connection, for whichever attempt
        self._stops = []  # Futures of those who wait until it has stopped
        self._since = 0  # when the last attempt succeeded, in seconds
        self._short_lived = 0  # connections in a row that the hub soon closed

    def _fire(self, event):
        """Change the state, as TRANSITIONS has it. ValueError: the event cannot happen now."""
        before, state = self.state, TRANSITIONS[event][STATES.index(self.state)]
        if state is None:
            raise ValueError("supervisor: %s while %s" % (event, before))
        self.state = state
        if errors.logger:
            errors.logger(20, "state", state)
        self.connecting_since = ticks_ms() if state == CONNECTING else None
        if self.outbox is not None:
            if state in (CONNECTING, CONNECTED):
                self.outbox.connected()
            elif state == STOPPING:
                self.outbox.pause()
            else:
                self.outbox.disconnected()
        if (before == CONNECTED) != (state == CONNECTED):
            self.dispatcher.run(self.dispatcher.call, self.dispatcher.handlers.get("state"))

    # -- what the client asks for -----------------------------------------------------------

    async def connect(self, retry=False):
        """Be connected; the error of the attempt. retry: try again until there is a connection."""
        while self.state == STOPPING:
            await self._join(self._stops)
        if self.state == CLOSED:
            raise NoConnectionError("the client has been shut down")
        if self.state == CONNECTED:
            return
        self.begin(retry)
        calls = self._waiters if retry else self._calls
        try:
            await self._join(calls)  # each step of an attempt has a deadline
        except asyncio.CancelledError:
            if self.state == CONNECTING and not (self._calls or self._waiters or self._retry):
                self._task.cancel()
                self._give_up(OperationCancelled("the attempt was given up", "connack"))
            raise

    def begin(self, retry=False):
        """Begin to connect, at once, unless that is under way."""
        if self.state in (DISCONNECTED, WAITING):
            self._retry = retry or self.state == WAITING
            if self.state == WAITING:
                self._task.cancel()  # it sleeps
            self._fire("connect")
            self._task = asyncio.create_task(self._run())
            if self._ticker is None:
                self._ticker = asyncio.create_task(self._tick())

    async def ready(self):
        """Be connected, or raise; a lost connection is waited for, up to operation_timeout."""
        if self.state == CONNECTED and self.transport.is_open():
            return
        if self.state in (CONNECTING, CONNECTED, WAITING):
            limit = self.options["operation_timeout"]
            await wait_for(self._join(self._waiters), limit, "connack")
        elif self.options["auto_connect"]:
            await self.connect()
        else:
            raise NoConnectionError("call connect() first")

    async def stop(self):
        """Disconnect: send what is accepted, within the timeout, and close."""
        if self.state == STOPPING:
            await self._join(self._stops)
        if self.state in (DISCONNECTED, CLOSED):
            return
        self._fire("disconnect")
        _resolve(self._calls, OperationCancelled("disconnect() was called meanwhile", "connack"))
        _resolve(self._waiters, OperationCancelled("disconnect() was called", "connack"))
        try:
            await _cancel(self._task)
            await self.transport.close()
        finally:
            self._end_ticker()
            self.dispatcher.on_disconnected()
            self._fire("stopped")
            _resolve(self._stops)

    async def shutdown(self):
        """Disconnect for good."""
        await self.stop()
        self._fire("shutdown")

    @staticmethod
    async def _join(waiting):
        """Wait with others, until _resolve()."""
        future = Future()
        waiting.append(future)
        try:
            await future
        finally:
            if future in waiting:
                waiting.remove(future)

    # -- the task ---------------------------------------------------------------------------

    async def _run(self):
        """Connect, and connect again, until stop(), or until nothing tries again."""
        while True:
            try:
                await self._attempt()
            except Exception as error:  # whatever it was, the next attempt may succeed
                if self._retry or not self._calls:
                    self.dispatcher.report(error)
                _resolve(self._calls, error)
            else:
                error = await self.transport.wait_closed()
                self._lost(error)
                self._retry = self.options["connection_retry"]
            if not self._retry:
                self._give_up(error)
                return
            self._fire("retry")
            delay = self._backoff.next()
            if errors.logger:
                errors.logger(20, "state", "connecting again in %.1f s" % delay)
            await asyncio.sleep(delay)
            self._fire("timer")

    async def _attempt(self):
        try:
            twin = await self.transport.open(self.dispatcher.wanted)
        except (CredentialError, ConnectionFailedError) as error:
            if not await self._clock_was_wrong(error):
                raise
            twin = await self.transport.open(self.dispatcher.wanted)
        self._since = unix_time()
        self._check_clock = self.options["check_clock"]
        self.connections += 1
        gc.collect()  # what connecting took; what is free now is there for the rest
        if hasattr(gc, "mem_free"):
            self.heap_low = min(self.heap_low or gc.mem_free(), gc.mem_free())
        self.dispatcher.on_connected(twin)
        self._fire("accepted")
        _resolve(self._calls)
        _resolve(self._waiters)

    async def _clock_was_wrong(self, error):
        """Whether check_clock has set the clock. It is asked before the key, or the hub, is
        blamed: a wrong clock makes tokens and certificates invalid.
        """
        refused = isinstance(error, CredentialError) and error.code != 2
        if self._check_clock is None or not refused and error.stage != "tls":
            return False
        wrong = await self.dispatcher.call(self._check_clock)
        if wrong is False:
            self._check_clock = None
        return wrong

    def _lost(self, error):
        stage = getattr(error, "stage", None)
        self.losses[stage] = self.losses.get(stage, 0) + 1
        self.dispatcher.on_disconnected()
        self.dispatcher.report(error)
        if unix_time() - self._since > self._backoff.ceiling:
            self._backoff.reset()  # it lasted: this is no hub that hangs up at once
            self._short_lived = 0
        elif stage in ("read", "link", "close"):
            self._short_lived += 1
            if self._short_lived == 3:
                reason = "closed early, again: has another client this identity?"
                self.dispatcher.report(ConnectionDroppedError(reason, "identity"))

    def _give_up(self, error):
        self._fire("give up")
        self._end_ticker()
        self.transport.fail(error)
        _resolve(self._waiters, error)

    # -- deadlines --------------------------------------------------------------------------

    async def _tick(self):
        """Look at the deadlines of all that waits: one timer, so that no message needs its own."""
        options = self.options
        tick = int(min(1, options["timeout"] / 4, options["keep_alive"] / 8) * 1000)
        while True:
            self.last_tick = ticks_ms()
            await sleep_ms(tick)
            try:
                self.transport.tick(ticks_ms())
            except MemoryError:  # to report it would need memory: the next turn may find some
                pass
            except Exception as error:  # without a ticker there would be no deadlines
                self.dispatcher.report(error)

    def _end_ticker(self):
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        self.last_tick = None


def _resolve(futures, error=None):
    """Let all go on that wait by Supervisor._join(), with an exception if there is one."""
    for future in futures:
        if error is None:
            future.set_result()
        else:
            future.set_exception(error)
    futures.clear()


async def _cancel(task):
    """Cancel a task, and return once it has ended."""
    task.cancel()
    try:
        await task
    except (asyncio.CancelledError, Exception):
        pass
