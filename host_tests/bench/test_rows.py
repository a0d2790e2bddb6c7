"""Goals and rows of the bench, judged from fixed figures."""

from tools.bench.rows import OURS, Goal, Row


def judged(values, *goals):
    return [(value, goal.reached(value)) for goal, value in Row("w", "u", values, goals).judged()]


def test_value_equal_to_the_bound_reaches_the_goal():
    assert [Goal(200).reached(value) for value in (199, 200, 201)] == [True, True, False]
    least = Goal(0.4, at_least=True)
    assert [least.reached(value) for value in (0.39, 0.4, 0.41)] == [False, True, True]


def test_slack_relaxes_the_bound():
    assert [Goal(200).reached(value, 1.5) for value in (300, 301)] == [True, False]
    least = Goal(200, at_least=True)
    assert [least.reached(value, 2) for value in (100, 99)] == [True, False]


def test_goal_applies_to_the_median():
    assert judged({OURS: [1, 2, 900]}, Goal(2)) == [(2, True)]


def test_goal_against_a_peer_applies_to_the_ratio_of_medians():
    values = {OURS: [10, 30, 20], "peer": [5, 4, 6]}
    goals = Goal(4, at_least=True, against="peer"), Goal(3, against="peer")
    assert judged(values, *goals) == [(4, True), (4, False)]


def test_goal_against_a_missing_peer_is_not_judged():
    goals = Goal(4, at_least=True, against="peer"), Goal(10)
    assert judged({OURS: [10], "other": [1]}, *goals) == [(10, True)]
    assert judged({OURS: [10], "peer": []}, *goals) == [(10, True)]
