"""A check on CPython's Future and AutoResetEvent: they are used as MicroPython's allow it."""

import pytest

from iothub import compat_cpython


@pytest.fixture(autouse=True)
def one_task_awaits(monkeypatch):
    """At most one task awaits a Future, or an AutoResetEvent, at once: MicroPython wakes one."""
    shared = []

    def watched(kind):
        original = kind.__await__

        def __await__(self):
            waiting = getattr(self, "waiting_tasks", 0)
            if waiting:
                shared.append(self)
            self.waiting_tasks = waiting + 1
            try:
                return (yield from original(self))
            finally:
                self.waiting_tasks -= 1

        monkeypatch.setattr(kind, "__await__", __await__)

    watched(compat_cpython.Future)
    watched(compat_cpython.AutoResetEvent)
    yield
    assert shared == []
