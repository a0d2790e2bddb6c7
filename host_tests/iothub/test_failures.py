"""iothub.failures: delays before attempts. What a failure means: test_supervisor.py."""

from iothub.failures import Backoff


def test_ceiling_doubles_to_the_cap_and_jitter_is_full_there_too():
    nearly = Backoff(1, 60, lambda: 0.5)
    assert [nearly.next() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    none = Backoff(1, 60, lambda: 0.0)
    assert [none.next() for _ in range(9)] == [0] * 9


def test_default_randomness_stays_below_the_ceiling_and_varies():
    delays = set()
    for _ in range(20):
        delays.add(Backoff(1, 60).next())
    assert all(0 <= delay < 1 for delay in delays)
    assert len(delays) > 10
