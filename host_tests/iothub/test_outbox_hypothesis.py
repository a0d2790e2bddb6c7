"""iothub.outbox against a model, in flash and in RAM, in any order of events and faults.

Each message that is given to it and not taken back is acknowledged, waits, was dropped, or was
refused: the numbers add up after each step. What is sent is in order.
"""

import asyncio
import errno
import os
import shutil
import tempfile
import types

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from iothub import outbox
from iothub.compat import Future, as_coroutine
from iothub.errors import ServiceError
from iothub.messages import Message
from iothub.outbox import flash_queue

WINDOW = 4
INDEX = st.integers(0, 100)
QUIET = 3600  # no message is suspected: that would change the order
# The other pauses of the outbox take one turn of the loop.
ASYNCIO = types.SimpleNamespace(
    sleep=lambda seconds: asyncio.sleep(0 if seconds < QUIET else seconds),
    create_task=asyncio.create_task,
)


class Flash:
    """open() for files: it can fail at a chosen operation."""

    def __init__(self):
        self.left = None  # operations before the next one fails; None: none does
        self.lasting = False
        self.reading = False  # what fails is to read, not to write
        self.error = None

    def open(self, path, mode):
        if self.reading == (mode == "rb"):
            self.step()
        if mode == "rb":
            return open(path, mode)
        return FlashFile(self, open(path, mode))

    def step(self):
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = 0 if self.lasting else None
            raise self.error


class FlashFile:
    def __init__(self, flash, file):
        self._flash = flash
        self._file = file
        self.fileno = file.fileno
        self.close = file.close

    def write(self, data):
        try:
            self._step()
        except (OSError, MemoryError):
            self._file.write(data[: len(data) // 2])
            raise
        self._file.write(data)

    def flush(self):
        self._file.flush()
        self._step()

    def _step(self):
        if not self._flash.reading:
            self._flash.step()


class Flight(Future):
    gone = False

    def abandoned(self):
        self.gone = True


class Hub:
    """What the outbox has sent and nobody has answered: (number, Flight), oldest first."""

    def __init__(self):
        self._sent = []
        self.seen = []  # of this connection

    def send(self, message):
        number = int(bytes(message.payload()).split(b":")[0])
        self._sent.append((number, Flight()))
        self.seen.append(number)
        return as_coroutine(self._sent[-1][1])

    def flying(self):
        self._sent = [one for one in self._sent if not one[1].gone and not one[1].done()]
        return self._sent


class Model(RuleBasedStateMachine):
    """sent: all that was given to the outbox, by number. ended: numbers that need no counting."""

    path = None

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.flash = Flash()
        outbox.asyncio = ASYNCIO
        flash_queue.open = self.flash.open
        self.tasks = []  # of senders, by the message's number
        self.acknowledged = []
        self.taken_back = set()
        self.counted = 0  # messages that this outbox must account for
        self.answered = 0  # of them
        self.before = 0  # dropped and refused by outboxes before a power loss
        self.connected = False
        self.problems = []

    @initialize(
        limit=st.sampled_from([256, 700, 2000]), drop=st.sampled_from(["oldest", "newest"])
    )
    def begin(self, limit, drop):
        self.settings = self.path, limit, drop
        self.make()

    def make(self):
        self.flash.left = None
        self.outbox = outbox.Outbox(*self.settings)
        self.counted, self.answered = len(self.outbox), 0
        self.start()

    def start(self):
        self.flash.left = None
        self.hub = Hub()
        self.outbox.start(self.hub.send, self.problems.append, {"qos": 1, "window": WINDOW})
        self.outbox.quiet = QUIET
        self.connected = False

    def run(self, function=lambda: None, turns=15):
        async def step():
            function()
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(step())

    def states(self, *states):
        self.run(lambda: [self.outbox.on_state(state) for state in states])

    # -- the program ------------------------------------------------------------------------

    @rule(sizes=st.lists(st.integers(0, 100), min_size=1, max_size=12))
    def send(self, sizes):
        def put():
            for size in sizes:
                message = Message(b"%d:" % len(self.tasks) + b"x" * size)
                waiting = as_coroutine(self.outbox.put(message))
                self.tasks.append(asyncio.get_running_loop().create_task(waiting))
                self.counted += 1

        self.run(put)

    @rule(index=INDEX)
    def cancel(self, index):
        waiting = [number for number, task in enumerate(self.tasks) if not task.done()]
        if waiting:
            number = waiting[index % len(waiting)]
            before = len(self.outbox)
            self.run(self.tasks[number].cancel, turns=2)
            if len(self.outbox) < before:
                self.taken_back.add(number)
                self.counted -= 1
            self.run()

    # -- the connection ---------------------------------------------------------------------

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self):
        self.connected = True
        self.hub.seen = []
        self.states("connecting")
        self.states("connected")

    @precondition(lambda self: not self.connected)
    @rule()
    def fail_to_connect(self):
        self.states("connecting", "waiting")
        self.hub.seen = []

    @rule()
    def lose(self):
        self.connected = False
        self.states("waiting")
        assert self.hub.flying() == []
        assert [task for task in self.tasks if not task.done()] == []

    @rule()
    def disconnect(self):
        self.connected = False
        self.states("stopping", "disconnected")
        assert self.hub.flying() == []

    @rule(count=st.integers(1, 6))
    def acknowledge(self, count):
        for number, flight in self.hub.flying()[:count]:
            self.acknowledged.append(number)
            self.answered += 1
            self.run(flight.set_result)

    @precondition(lambda self: self.hub.flying())
    @rule()
    def refuse(self):
        number, flight = self.hub.flying()[0]
        self.acknowledged.append(number)
        self.run(lambda: flight.set_exception(ServiceError("no", "disposition", "amqp:not-found")))

    @precondition(lambda self: self.hub.flying())
    @rule()
    def be_busy(self):
        _, flight = self.hub.flying()[0]
        busy = ServiceError("later", "disposition", "com.microsoft:server-busy")
        self.hub.seen = []
        self.run(lambda: flight.set_exception(busy))

    @rule()
    def start_again(self):
        """Another client goes on with the outbox."""
        self.run(self.outbox.close)
        assert [task for task in self.tasks if not task.done()] == []
        self.start()

    # -- what holds always ------------------------------------------------------------------

    @invariant()
    def numbers_add_up(self):
        box = self.outbox
        total = self.answered + len(box) + box.dropped + box.refused
        assert total == self.counted
        assert box.dropped >= 0
        assert len(self.hub.flying()) <= WINDOW

    @invariant()
    def order_is_kept(self):
        # After a power loss some may come twice.
        first = list(dict.fromkeys(self.hub.seen))
        assert first == sorted(first)

    @invariant()
    def errors_are_the_outbox_s_own(self):
        for task in self.tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                expected = outbox.OutboxError, ServiceError, MemoryError
                assert isinstance(task.exception(), expected)

    def teardown(self):
        try:
            self.drain()
        finally:
            if hasattr(self, "outbox"):
                self.flash.left = None
                self.run(self.outbox.close)
                self.errors_are_the_outbox_s_own()
            self.loop.close()
            outbox.asyncio = asyncio
            del flash_queue.open

    def drain(self):
        """Once all is well all that waits arrives."""
        if not hasattr(self, "outbox"):
            return
        self.flash.left = None
        self.lose()
        for _ in range(4):  # one of them at least does not wait to be proven
            self.connect()
            while self.hub.flying():
                self.acknowledge(WINDOW)
            self.lose()
        self.numbers_add_up()
        assert len(self.outbox) == 0
        arrived = set(self.acknowledged)
        lost = set(range(len(self.tasks))) - arrived - self.taken_back
        assert len(lost) <= self.before + self.outbox.dropped


class FlashModel(Model):
    removed = False  # a file that the outbox has written

    def __init__(self):
        self.path = tempfile.mkdtemp() + "/outbox"
        super().__init__()

    @rule(
        left=st.integers(0, 12),
        lasting=st.booleans(),
        reading=st.booleans(),
        error=st.sampled_from(
            [OSError(errno.EIO), OSError(errno.ENOSPC), OSError(errno.EACCES), MemoryError()]
        ),
    )
    def fail(self, left, lasting, reading, error):
        flash = self.flash
        flash.left, flash.lasting, flash.reading, flash.error = left, lasting, reading, error

    @rule()
    def work_again(self):
        self.flash.left = None

    @rule()
    def remove_folder(self):
        self.removed = True
        shutil.rmtree(self.path, ignore_errors=True)

    @rule(index=INDEX)
    def remove_file(self, index):
        self.removed = True
        if os.path.isdir(self.path) and os.listdir(self.path):
            names = sorted(os.listdir(self.path))
            os.remove(self.path + "/" + names[index % len(names)])

    @rule()
    def lose_power(self):
        """What waits in RAM is gone with its senders; what is kept is found again."""
        unkept = {
            number for number, task in enumerate(self.tasks) if not task.done() or task.cancelled()
        }
        kept = len(self.outbox) - len(unkept - self.taken_back)
        self.taken_back |= unkept
        self.before += self.outbox.dropped + self.outbox.refused
        outbox._owners.clear()

        def stop():
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()

        self.run(stop)
        self.make()
        missing = max(0, kept - len(self.outbox))
        assert not missing or self.removed  # it was on its way, and its file is gone
        self.before += missing

    def teardown(self):
        try:
            super().teardown()
        finally:
            shutil.rmtree(os.path.dirname(self.path))

    @precondition(lambda self: os.path.isdir(self.path))
    @rule()
    def be_another_outbox(self):
        """A second outbox takes the folder over while the first is closed."""
        self.run(self.outbox.close)
        before = len(self.outbox)
        self.before += self.outbox.dropped + self.outbox.refused
        self.make()
        assert len(self.outbox) >= before


TestInRam = Model.TestCase
TestInFlash = FlashModel.TestCase
TestInRam.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestInFlash.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
