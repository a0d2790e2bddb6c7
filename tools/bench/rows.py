"""The result of a measurement: rows of a table, with their goals."""

import statistics
from typing import NamedTuple

OURS = "ours"


class Goal(NamedTuple):
    """A bound for the median of ours: at least, or at most, `bound`.

    With `against`, the name of a peer in the same row, the bound applies to the ratio ours / peer.
    A busy machine may miss the bound by the factor `slack` before a quick run reports it: 1 for
    counted values, more for timed ones.
    """

    bound: float
    at_least: bool = False
    against: str | None = None
    slack: float = 1

    def reached(self, value, slack=1):
        if self.at_least:
            return value >= self.bound / slack
        return value <= self.bound * slack


class Row(NamedTuple):
    """Values of `what` in `unit`: {name: [a value a round, …]}; ours is named "ours", and comes
    first.
    """

    what: str
    unit: str
    values: dict
    goals: tuple = ()
    note: str = ""  # the limit that stops a goal, or what the figure leaves out

    def median(self, name=OURS):
        return statistics.median(self.values[name])

    def judged(self):
        """(goal, value that it applies to) of each goal whose peer was measured."""
        for goal in self.goals:
            if goal.against is None:
                yield goal, self.median()
            elif self.values.get(goal.against):
                yield goal, self.median() / self.median(goal.against)
