"""Supervisor: the only one who opens and closes connections, in one task, with one state.

    event        from                      to
    connect      disconnected, waiting     connecting     at once
    accepted     connecting                connected
    give up      connecting, connected     disconnected   nothing tries again
    retry        connecting, connected     waiting        an attempt failed, or a loss; a delay
    timer        waiting                   connecting     the delay is over
    disconnect   all but stopping, closed  stopping       the task ends, what is accepted is sent
    stopped      stopping                  disconnected
    shutdown     disconnected              closed

connect() while stopping waits until that is done. fire() alone assigns the state.

A full heap stops none of this for good. What has to be done takes no heap, or is tried again: by
the task, _run(), and for the rest by the ticker, _tick().
"""

import asyncio
import gc

from . import errors
from .compat import Future, sleep_ms, ticks_ms, uptime, wait_for
from .errors import (
    ConnectionDroppedError,
    NoConnectionError,
    OperationCancelled,
    kept,
)

STATES = ("disconnected", "connecting", "connected", "waiting", "stopping", "closed")
EVENTS = ("connect", "accepted", "give-up", "retry", "timer", "disconnect", "stopped", "shutdown")
# For each event the next of STATES, by the state before; -: the event cannot happen then.
TRANSITIONS = b"1--1-- -2---- -00--- -33--- ---1-- 4444-- ----0- 5----5"


class Supervisor:
    """transport: what it opens and closes. dispatcher: who is told of it. outbox: or None.

    connections: how many were made. losses: {stage: how many ended there}. heap_low: the least
    heap that was free after one, in bytes. last_tick: when its deadlines were looked at last, and
    connecting_since: when the attempt under way began, by uptime(); None: nothing is under way.
    """

    def __init__(self, transport, dispatcher, outbox, options):
        self.state = "disconnected"
        self.connections = 0
        self.losses = {}
        self.heap_low = self.last_tick = self.connecting_since = None
        self.transport = transport
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.options = options
        self.check_clock = options["check_clock"]  # None, once the clock is known to be right
        # ms between two looks at the deadlines
        self._period = int(min(1, options["timeout"] / 4, options["keep_alive"] / 8) * 1000)
        self._backoff = None  # a Backoff, while there is trouble
        self._error = None  # why the last attempt failed, or the last connection ended
        self._retry = False  # whether an attempt that fails is followed by another
        self._task = None  # runs from connect() to disconnect()
        self._ticker = None  # runs as long
        self._waiters = []  # Futures for the next state
        self._told = self.state  # the last one that the outbox and the program were told of
        self._since = 0  # when the last attempt succeeded, in seconds
        self._short_lived = 0  # connections in a row that the hub soon closed

    def fire(self, event):
        """Change the state, as TRANSITIONS has it. ValueError: the event cannot happen now."""
        before = self.state
        code = TRANSITIONS[EVENTS.index(event) * 7 + STATES.index(before)]
        if code < 48:
            raise ValueError("supervisor: %s while %s" % (event, before))
        self.state = state = STATES[code - 48]
        if errors.logger:
            errors.logger(20, "state", state)
        self.connecting_since = uptime() if state == "connecting" else None
        while self._waiters:
            self._waiters.pop(0).set_result(state)
        try:
            self._tell()
        except MemoryError:
            pass  # the ticker will

    def _tell(self):
        """Tell the outbox and the program of the state, unless they know it."""
        state, before = self.state, self._told
        if state is before:
            return
        if self.outbox is not None:
            self.outbox.on_state(state)
        if (before == "connected") != (state == "connected"):
            handler = self.dispatcher.handlers.get("on_connection_state_change")
            self.dispatcher.run(self.dispatcher.call, handler)
        self._told = state

    async def next_state(self):
        """Wait for the next change: the state after it."""
        waiter = Future()
        self._waiters.append(waiter)
        try:
            return await waiter
        finally:
            if waiter in self._waiters:  # it was given up
                self._waiters.remove(waiter)

    # -- what the client asks for -----------------------------------------------------------

    async def connect(self, retry=False):
        """Be connected; the error of the attempt. retry: try again until there is a connection."""
        state, began, tried = self.state, False, False
        try:
            while state != "connected":
                if self.state == "closed":
                    raise NoConnectionError("the client has been shut down")
                if tried and (state in ("disconnected", "stopping") or not retry):
                    raise self._error
                if not tried and state != "stopping":
                    began = self.begin(retry)
                    tried = True
                state = await self.next_state()  # each step of an attempt has a deadline
        except asyncio.CancelledError:
            if began and self.state == "connecting" and not (self._retry or self._waiters):
                await self.stop()  # the next connect() waits until the attempt has ended
            raise

    def begin(self, retry=False):
        """Begin to connect, at once; False: that is under way."""
        waiting = self.state == "waiting"
        if not waiting and self.state != "disconnected":
            self._retry = self._retry or retry
            return False
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick())
        task = asyncio.create_task(self._run())  # neither begins before this returns
        if waiting:
            self._task.cancel()  # it sleeps
        self._task = task
        self._retry = retry or waiting
        self.last_tick = uptime()
        self.fire("connect")
        return True

    async def ready(self):
        """Be connected, or raise; a lost connection is waited for, up to operation_timeout."""
        state = self.state
        if state == "connected" and self.transport.is_open():
            return
        if state in ("connecting", "connected", "waiting"):
            await wait_for(self._regained(), self.options["operation_timeout"], "connack")
        elif self.options["auto_connect"]:
            await self.connect()
        else:
            raise NoConnectionError("call connect() first")

    async def _regained(self):
        state = None
        while state != "connected":
            state = await self.next_state()
            if state in ("disconnected", "stopping"):
                raise self._error

    async def stop(self):
        """Disconnect: send what is accepted, within the timeout, and close."""
        while self.state == "stopping":
            await self.next_state()
        if self.state in ("disconnected", "closed"):
            return
        self._error = OperationCancelled("disconnect() was called meanwhile", "connack")
        self.fire("disconnect")
        try:
            self._task.cancel()
            try:
                await self._task
            except (asyncio.CancelledError, Exception):
                pass
            await self.transport.close()
            self._ticker.cancel()
            await sleep_ms(0)  # the cancelled tasks end, and give back their heap
        finally:
            self._ticker.cancel()
            self._ticker = self.last_tick = None
            try:
                self.transport.fail(self._error)  # what was accepted since it was closed
                self.dispatcher.on_disconnected()
                if self.transport.connection is not None:
                    self.transport.connection.release(self._error)
            finally:
                self.fire("stopped")

    async def shutdown(self):
        """Disconnect for good."""
        await self.stop()
        self.fire("shutdown")

    # -- the task ---------------------------------------------------------------------------

    async def _run(self):
        """Connect, and connect again, until stop(), or until nothing tries again."""
        # One that is cancelled where the heap is full gets a MemoryError instead.
        task = asyncio.current_task()
        while task is self._task and self.state in ("connecting", "connected", "waiting"):
            try:
                await self._step()
            except Exception as error:  # mostly a full heap: the same step is tried again
                if not isinstance(error, MemoryError):
                    self.dispatcher.report(error)
                await sleep_ms(100)

    async def _step(self):
        """What the state asks for. It ends with another state, unless there is no heap for it."""
        if self.state == "connecting":
            try:
                await self._attempt()
            except Exception as error:  # of any kind: the next attempt may succeed
                self._ended(error, self._retry or not self._waiters)
        elif self.state == "connected":
            self._lost(await self.transport.wait_closed())
        else:
            if self._backoff is None:
                from .failures import Backoff

                self._backoff = Backoff()
            delay = self._backoff.next()
            if errors.logger:
                errors.logger(20, "state", "connecting again in %.1f s" % delay)
            await asyncio.sleep(delay)
            self.fire("timer")

    def _ended(self, error, report):
        """An attempt or a connection has ended with `error`."""
        self._error = error = kept(error)
        if report:
            self.dispatcher.report(error)
        if self._retry:
            self.fire("retry")
        else:
            self.transport.fail(error)
            self.fire("give-up")

    async def _attempt(self):
        for again in (True, False):
            try:
                twin = await self.transport.open(self.dispatcher.wanted)
                break
            except Exception as error:
                from .failures import examine

                await examine(self, error, again)
        self.check_clock = self.options["check_clock"]
        gc.collect()  # what connecting took; what is free now is there for the rest
        if hasattr(gc, "mem_free"):
            self.heap_low = min(self.heap_low or gc.mem_free(), gc.mem_free())
        self.connections += 1
        self._retry = self.options["connection_retry"]
        self.fire("accepted")
        try:
            self._since = uptime()
            if twin is not None:
                self.dispatcher.run(self.dispatcher.part("twin").synchronize, twin)
        except MemoryError as error:  # the next connection may find some heap
            self.transport.connection.abort(error)

    def _lost(self, error):
        life = uptime() - self._since
        stage = getattr(error, "stage", None)
        self.losses[stage] = self.losses.get(stage, 0) + 1
        self.dispatcher.on_disconnected()
        self._ended(error, True)
        # Longer than the last delay: this is no hub that hangs up at once.
        if life > (1 if self._backoff is None else self._backoff.ceiling):
            self._backoff = None
            self._short_lived = 0
        elif stage in ("read", "link", "close"):
            self._short_lived += 1
            if self._short_lived == 3:
                reason = "closed early, again: has another client this identity?"
                self.dispatcher.report(ConnectionDroppedError(reason, "identity"))

    # -- deadlines --------------------------------------------------------------------------

    async def _tick(self):
        """Look at the deadlines of all that waits: one timer, so that no message needs its own."""
        task = asyncio.current_task()
        while task is self._ticker and self.state not in ("disconnected", "closed"):
            self.last_tick = uptime()
            try:
                await sleep_ms(self._period)
                self.transport.tick(ticks_ms())
                self.dispatcher.tick()
                self._tell()
                if self._task.done():  # something has cancelled it
                    self._task = asyncio.create_task(self._run())
            except MemoryError:
                pass  # the next turn may find some
            except Exception as error:  # without a ticker there would be no deadlines
                self.dispatcher.report(error)
        if task is self._ticker:
            self._ticker = self.last_tick = None
