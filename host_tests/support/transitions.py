"""Drives every pair of state and event of a table of transitions."""

from host_tests.support.raises import raises


def drive(table, states, make, fire):
    """table: {event: next states, in the order of `states`}. make(state): an object in it.
    fire(object, event). Pairs without a next state must raise ValueError, and change nothing.
    How many pairs were driven.
    """
    count = 0
    for event in table:
        assert len(table[event]) == len(states), event
        for state, expected in zip(states, table[event]):  # noqa: B905
            driven = make(state)
            if expected is None:
                error = raises(ValueError, fire, driven, event)
                assert event in str(error) and state in str(error), error
                assert driven.state == state
            else:
                assert expected in states
                fire(driven, event)
                assert driven.state == expected, (state, event)
            count += 1
    return count
