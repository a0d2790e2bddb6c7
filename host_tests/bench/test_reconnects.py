"""A fleet that lost its hub spreads its reconnects: Backoff of iothub.failures, fixed seeds."""

import random
import subprocess

import pytest

from iothub.failures import Backoff
from tools.bench import reconnects
from tools.files import ROOT
from tools.interpreter import environment, interpreter

_DELAYS = """
from iothub.failures import Backoff
backoff = Backoff()
print([backoff.next() for _ in range(10)])
"""


@pytest.mark.parametrize("away", [10, 30, 120])
def test_reconnects_of_a_fleet_are_spread(away):
    tried = reconnects.fleet(reconnects.jittered, away=away)
    returned = [times[-1] for times in tried]
    # Delays have come to be half as long as that, on average; twice the rate is generous.
    assert reconnects.busiest(returned) < 2 * reconnects.DEVICES / (min(away, 60) / 2)
    assert max(returned) < away + 60
    alike = reconnects.fleet(reconnects.unjittered, away=away)
    assert reconnects.busiest([times[-1] for times in alike]) == reconnects.DEVICES


def test_simulation_is_reproducible_and_delays_differ_by_device():
    tried = reconnects.fleet(reconnects.jittered)
    assert tried == reconnects.fleet(reconnects.jittered)
    assert len({times[0] for times in tried}) == reconnects.DEVICES


def test_jitter_at_the_cap_is_uniform():
    deciles = [0] * 10
    for seed in range(reconnects.DEVICES):
        backoff = Backoff(random=random.Random(seed).random)
        for _ in range(8):
            backoff.next()
        assert backoff.ceiling == 60
        deciles[int(backoff.next() / 6)] += 1
    assert all(60 < count < 140 for count in deciles), deciles


def test_two_boots_share_no_delay():
    """On some ports MicroPython's random starts from a fixed seed; Backoff uses the system's
    entropy.
    """
    boots = [
        subprocess.run(
            [interpreter(), "-c", _DELAYS],
            env=environment(ROOT / "firmware"),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert boots[0] != boots[1]


def test_picture_is_a_png(tmp_path):
    picture = reconnects.draw(tmp_path / "reconnects.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
