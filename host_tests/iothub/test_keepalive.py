"""iothub.keepalive: when a ping is due, and when a connection is dead."""

from iothub.keepalive import Watch


def begun(timeout=10, keep_alive=60):
    watch = Watch(timeout, keep_alive)
    watch.begin(1000)
    return watch


def test_ping_is_due_before_the_keep_alive_ends():
    watch = begun()
    assert not watch.ping_due(1000 + 44999)
    assert watch.ping_due(1000 + 45000)
    assert not watch.ping_due(1000 + 45001)


def test_ping_is_due_when_only_one_side_sends():
    watch = begun()
    watch.sent = 40000
    assert watch.ping_due(46000)
    watch = begun()
    watch.alive(40000)
    assert watch.ping_due(46000)


def test_unanswered_ping_ends_the_connection_within_one_and_a_half_keep_alive():
    watch = begun(timeout=100)
    assert watch.ping_due(46000)
    assert watch.overdue(46000 + 30000, None) is None
    assert watch.overdue(46000 + 30001, None).stage == "ping"
    assert 46000 + 30001 - 1000 < 90000


def test_any_byte_answers_a_ping():
    watch = begun()
    watch.ping_due(46000)
    watch.alive(50000)
    assert watch.overdue(99000, None) is None


def test_missing_puback_ends_the_connection():
    watch = begun()
    first, second = object(), object()
    assert watch.overdue(2000, first) is None
    assert watch.overdue(12000, first) is None
    assert watch.overdue(12001, first).stage == "puback"
    assert watch.overdue(12001, second) is None
    assert watch.overdue(12002, None) is None


def test_blocked_write_ends_the_connection():
    watch = begun()
    watch.writing = 2000
    assert watch.overdue(12000, None) is None
    assert watch.overdue(12001, None).stage == "write"
