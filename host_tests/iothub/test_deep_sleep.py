"""iothub.deep_sleep: how long a cycle waits for silence."""

import asyncio

from host_tests.support.tasks import failure
from iothub.deep_sleep import wait_idle
from iothub.errors import OperationTimeout


class Dispatcher:
    """A message comes at each of the first `count` looks; None: at every one."""

    def __init__(self, count):
        self.handled = 0
        self.looks = 0
        self._count = count

    def is_idle(self):
        self.looks += 1
        if self._count is None or self.handled < self._count:
            self.handled += 1
        return True


class Supervisor:
    outbox = None
    options = {"operation_timeout": 0.3}

    def __init__(self, count):
        self.dispatcher = Dispatcher(count)


def test_wait_ends_once_nothing_has_come_for_a_while():
    supervisor = Supervisor(2)
    asyncio.run(wait_idle(supervisor, 0.12))
    assert supervisor.dispatcher.handled == 2
    assert supervisor.dispatcher.looks > 3


def test_messages_that_come_again_and_again_do_not_keep_a_board_awake():
    async def main():
        error = await failure(wait_idle(Supervisor(None), 0.12))
        assert isinstance(error, OperationTimeout)
        assert error.stage == "idle"

    asyncio.run(main())
