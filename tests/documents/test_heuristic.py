"""Rules of thumb are a closed document: conditions that parse, scores, and an answer for all other rows."""

import pytest

from candidate.documents.heuristic import HeuristicRules
from candidate.errors import InputError

TEXT = """
otherwise = 0.2
[[rule]]
where = "dep_hour >= 17 and origin == 'JFK'"
score = 0.4
[[rule]]
where = "dep_hour >= 17"
score = 0.3
"""


def test_rules_are_read_in_order() -> None:
    """The columns once each, the scores with that of no rule last."""
    rules = HeuristicRules.from_toml(TEXT, where="rules.toml")

    assert rules.columns == ("dep_hour", "origin")
    assert rules.scores == (0.4, 0.3, 0.2)
    assert rules.rule[0].comparisons[1].values == ("JFK",)
    assert HeuristicRules.from_bytes(rules.to_bytes()) == rules


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("otherwise = 0.2", "Field required"),
        ('where = "dep_hour >= 17"', "Field required"),
        ("dep_hour >= 17 and", "not a condition"),
        ("score = 0.4", "Field required"),
    ],
)
def test_half_a_rule_is_refused(change: str, message: str) -> None:
    """Nothing is guessed."""
    replaced = {"dep_hour >= 17 and": "dep_hour >=> 17 and"}.get(change, "")
    with pytest.raises(InputError, match=message):
        HeuristicRules.from_toml(TEXT.replace(change, replaced), where="rules.toml")
