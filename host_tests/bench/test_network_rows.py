"""The measurements that count bytes and round trips reach their goals: counts have no noise."""

import asyncio

import pytest

from tools.bench import trips, wire

PATIENCE = 100


def counted(measure):
    """(what, goal, value) of each goal without slack: those are counted, not timed."""
    rows = asyncio.run(asyncio.wait_for(measure(1, quick=True), PATIENCE))
    judged = [(row.what, *one) for row in rows for one in row.judged()]
    return [(what, goal, value) for what, goal, value in judged if goal.slack == 1]


def missed(measure):
    found = counted(measure)
    assert found
    return [(what, goal, value) for what, goal, value in found if not goal.reached(value)]


def test_the_first_message_leaves_with_connect():
    assert missed(trips.measure) == []


@pytest.mark.interop
def test_burst_is_one_tls_record():
    assert missed(wire.measure) == []
