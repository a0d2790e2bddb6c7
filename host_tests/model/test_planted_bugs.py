"""The model of test_contract finds bugs that are planted in the client."""

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky

from host_tests.model import test_contract
from iothub.inbox import Inbox
from iothub.pending import Pending


async def acknowledge_what_a_handler_failed_at(self, handler, message, receipt):
    try:
        await self._dispatcher.call(handler, message)
    finally:
        self._transport.settle(receipt, "complete")


def send_the_newest_first(self):
    sent, waiting = self._sent, self._deliveries
    if sent >= self._window or sent == len(waiting):
        return None
    waiting.insert(sent, waiting.pop())
    self._sent = sent + 1
    return waiting[sent]


def send_nothing_again(self):
    if self._drained is not None:
        self._drained.set_result()


PLANTED = [
    (Inbox, "_handle", acknowledge_what_a_handler_failed_at),
    (Pending, "next", send_the_newest_first),
    (Pending, "restart", send_nothing_again),
]


@pytest.mark.parametrize("transport", ["mqtt", "amqp"])
@pytest.mark.parametrize(
    ("owner", "name", "bug"), PLANTED, ids=lambda one: getattr(one, "__name__", one)
)
def test_planted_bug_is_found(hub_core, monkeypatch, transport, owner, name, bug):
    monkeypatch.setattr(owner, name, bug)
    monkeypatch.setattr(test_contract, "PATIENCE", 1)
    drawn = settings(
        max_examples=1000,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    with pytest.raises((AssertionError, asyncio.TimeoutError, Flaky)):
        test_contract.play(hub_core, transport, drawn)
