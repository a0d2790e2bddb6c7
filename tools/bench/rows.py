"""The result of a measurement: rows of a table, with their goals."""

import statistics
from typing import NamedTuple

OURS = "ours"


class Goal(NamedTuple):
    """What the median of ours should be: at least, or at most, `bound`.

    With `against`, the name of a peer in the same row, it is the ratio ours / peer that counts.
    A machine that does other work too may miss the bound by the factor `slack` before a quick run
    takes it for a fault: 1 for what is counted, more for what is timed.
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
    """`what` was measured in `unit`: {name: [a value a round, …]}; ours, named "ours", first."""

    what: str
    unit: str
    values: dict
    goals: tuple = ()
    note: str = ""  # the limit that stops a goal, or what the figure leaves out

    def median(self, name=OURS):
        return statistics.median(self.values[name])

    def judged(self):
        """(goal, value that it is about) of each goal whose peer was there."""
        for goal in self.goals:
            if goal.against is None:
                yield goal, self.median()
            elif self.values.get(goal.against):
                yield goal, self.median() / self.median(goal.against)
