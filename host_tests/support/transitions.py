"""Drives every pair of state and event of a table of transitions."""

from host_tests.support.raises import raises


def drive(module, make):
    """Drive module.EVENTS in each of module.STATES, as module.TRANSITIONS says. It has a word
    for each event. The word has a character for each state: the number of the next state, or "-".
    For "-", fire() raises ValueError and changes nothing. make(state): an object in that state.

    {(event, state before): state after}, of all that may happen.
    """
    events, rows = module.EVENTS, module.TRANSITIONS.decode().split(" ")
    assert len(events) == len(rows)
    reached = {}
    for event, row in zip(events, rows):  # noqa: B905
        assert len(row) == len(module.STATES), event
        for state, column in zip(module.STATES, row):  # noqa: B905
            driven = make(state)
            assert driven.state == state
            if column == "-":
                error = raises(ValueError, driven.fire, event)
                assert event in str(error) and state in str(error), error
                assert driven.state == state
            else:
                driven.fire(event)
                assert driven.state == module.STATES[int(column)], (event, state)
                reached[event, state] = driven.state
    return reached
