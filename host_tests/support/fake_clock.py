"""A clock that a test owns, under asyncio and the library, so that months pass in seconds.

    from host_tests.support import fake_clock  # before anything of iothub: see below

    fake_clock.run(main)  # asyncio.run(main()) in this time

Time passes while the event loop has nothing to do: a wait costs nothing. The library's ticks have
30 bits and wrap, as on a board, in both interpreters; time.time() goes along with them. Real
sockets work too: run(main, grace=0.02) gives them that many real seconds before time goes on.

On CPython the clock is in place during run(). On MicroPython it is from the import of this module
on, because the library takes ticks_ms() by name, so this import comes first.
"""

import asyncio
import sys
import time as _time

MICROPYTHON = sys.implementation.name == "micropython"
_SPAN = 0x3FFFFFFF  # what ticks can tell apart
_HALF = 0x20000000
_PATIENCE = 10  # real seconds for something to come, where no timer runs


class _State:
    """passed: ms of this clock. wall: time.time() at its beginning. See run()."""

    passed = 0
    first = 0  # ticks at its beginning
    wall = 0  # type: float
    grace = step = 0  # type: float


_state = _State()


def run(main, grace=0, step=0):
    """Run the coroutine function main(); its result.

    grace: real seconds that sockets are given before a wait is cut short. step: the least seconds
    that an idle loop waits, as if the board slept meanwhile, so that months take fewer turns; all
    timers are late by up to that.
    """
    _state.grace, _state.step = grace, step
    if MICROPYTHON:
        asyncio.new_event_loop()  # without the tasks of an earlier run
        return asyncio.run(main())
    with _patched():
        loop = asyncio.SelectorEventLoop(_Selector())
        loop.time = now
        loop._clock_resolution = 0.001  # after months a nanosecond changes no float
        try:
            return loop.run_until_complete(main())
        finally:
            loop.run_until_complete(_cancel_others())
            loop.close()


def now():
    """Seconds of this clock."""
    return _state.passed / 1000


def jump(seconds):
    """Time passes while nothing runs: a light sleep, or a loop that stands still."""
    _state.passed += int(seconds * 1000)


def set_time(unix):
    """Set the clock, as NTP does: time.time(), and no ticks."""
    _state.wall = unix - _state.passed / 1000


def ticks_ms():
    return (_state.first + _state.passed) & _SPAN


def ticks_diff(a, b):
    return ((a - b + _HALF) & _SPAN) - _HALF


def _wall_time():
    return _state.wall + _state.passed / 1000


def _idle(milliseconds):
    """The loop would wait so long."""
    _state.passed += max(milliseconds, int(_state.step * 1000))


def _on_micropython():
    """Put this clock in the place of the modules time and asyncio.core's."""
    from asyncio import core

    assert "iothub" not in sys.modules, "import fake_clock before the library"
    # asyncio's queue is C code, which reads the real clock for what is due at once. So asyncio's
    # own ticks do not wrap, and are ahead of the real ones for ever. It compares small integers.
    assert sys.maxsize >> 32, "the fake clock needs a 64-bit build"
    ahead = _time.ticks_ms() + (1 << 40)

    def add(ticks, delta):
        if not -_HALF < delta < _HALF:
            raise OverflowError("ticks interval overflow")  # as on a board
        return ticks + delta

    core.ticks = lambda: ahead + _state.passed
    core.ticks_add = add
    core.ticks_diff = lambda a, b: a - b
    wait = core.IOQueue.wait_io_event

    def wait_io_event(queue, milliseconds):
        if not queue.map or milliseconds >= 0:
            wait(queue, int(_state.grace * 1000) if queue.map and milliseconds else 0)
            first = core._task_queue.peek()
            if milliseconds > 0 and first.ph_key - core.ticks() >= milliseconds:
                _idle(milliseconds)
        else:
            wait(queue, _PATIENCE * 1000)

    core.IOQueue.wait_io_event = wait_io_event

    class Module:
        pass

    module = Module()
    for name in dir(_time):
        setattr(module, name, getattr(_time, name))
    module.ticks_ms, module.ticks_diff = ticks_ms, ticks_diff
    module.ticks_add = lambda ticks, delta: add(ticks, delta) & _SPAN
    module.time = lambda: int(_wall_time())
    module.sleep = jump
    module.sleep_ms = lambda milliseconds: jump(milliseconds / 1000)
    sys.modules["time"] = module


_state.wall = _time.time()
if MICROPYTHON:
    _state.first = _time.ticks_ms()
    _on_micropython()
else:
    import contextlib
    import operator
    import selectors
    from collections.abc import Mapping

    class _Selector(selectors.BaseSelector):
        """The loop's real selector, without the waits."""

        def __init__(self):
            self._real = selectors.DefaultSelector()

        def select(self, timeout=None):
            if timeout is None:  # no timer runs
                found = self._real.select(_PATIENCE)
                assert found, f"nothing came in {_PATIENCE} real seconds, and nothing is due"
                return found
            found = self._real.select(_state.grace if timeout > 0 else 0)
            if not found and timeout > 0:
                _idle(int(timeout * 1000) + 1)  # not before it is due
            return found

        def register(self, fileobj, events, data=None):
            return self._real.register(fileobj, events, data)

        def unregister(self, fileobj):
            return self._real.unregister(fileobj)

        def modify(self, fileobj, events, data=None):
            return self._real.modify(fileobj, events, data)

        def get_map(self) -> Mapping:
            return self._real.get_map()

        def close(self):
            self._real.close()

    @contextlib.contextmanager
    def _patched():
        """This clock in the place of time.time(), and of the ticks that modules took by name."""
        from iothub import compat_cpython

        real = compat_cpython.ticks_ms, _time.time
        _state.first = real[0]() - _state.passed & _SPAN
        _replace(real[0], ticks_ms, operator.sub, ticks_diff)
        _time.time = _wall_time
        try:
            yield
        finally:
            _time.time = real[1]
            _replace(ticks_ms, real[0], ticks_diff, operator.sub)

    async def _cancel_others():
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _replace(ticks, other_ticks, diff, other_diff):
        for name, module in list(sys.modules.items()):
            if name != __name__:
                if getattr(module, "ticks_ms", None) is ticks:
                    module.ticks_ms = other_ticks
                if getattr(module, "ticks_diff", None) is diff:
                    module.ticks_diff = other_diff
