"""A policy is refused unless it says one thing, and says it fully."""

from pathlib import Path
from typing import get_args

import pytest

from candidate.documents.policy import CHECKLIST, ChecklistLine, Policy
from candidate.errors import InputError

HEAD = """
[data]
label = "late"
unit = "day"

[optimizing]
metric = "log_loss"
require = "superior"
min_gain = 0.002
"""


OWN = """
[[metrics]]
name = "own"
formula = "tp / n"
direction = "max"
definition = "ours"
"""


def read(text: str) -> Policy:
    """The policy of a file that says this after its mandatory tables."""
    return Policy.from_toml(HEAD + text, where="policy.toml")


def test_the_least_that_a_policy_must_say() -> None:
    """Label, unit, and what must get better; all else has a default, written out in the document."""
    policy = read("")

    assert (policy.alpha, policy.power, policy.champion) == (0.05, 0.8, "required")
    assert policy.checklist.require == CHECKLIST == get_args(ChecklistLine)
    assert policy.columns == ("late", "day")
    assert Policy.from_bytes(policy.to_bytes()) == policy


def test_a_policy_knows_every_column_it_reads() -> None:
    """Each once, in order of mention."""
    policy = Policy.from_toml(
        """
        [data]
        label = "late"
        unit = "day"
        time = "time_hour"

        [optimizing]
        metric = "brier"
        require = "non_inferior"
        margin = 0.01

        [[satisficing]]
        metric = "f1"
        min = 0.5
        by = ["origin", "carrier"]

        [[satisficing]]
        metric = "size_bytes"
        max = 1_000_000

        [[slices.guard]]
        where = "carrier == 'AA' and distance > 500"
        margin = 0.01

        [[slices.watch]]
        by = "dest"
        margin = 0.01
        """,
        where="policy.toml",
    )

    assert policy.columns == ("late", "day", "time_hour", "origin", "carrier", "distance", "dest")


@pytest.mark.parametrize("name", ["policy.toml", "first.policy.toml"])
def test_the_examples_policies_are_policies(name: str) -> None:
    """What users start from must be readable."""
    path = Path(__file__).parent.parent.parent / "examples" / "flights" / name

    assert Policy.from_toml(path.read_text(encoding="utf-8"), where=name).data.label == "late"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[slices]\ngaurd = []", "/slices/gaurd: unknown key"),
        ("[[satisficing]]\nmetric = 'auk'\nmax = 1", "/satisficing/0/metric"),
        ("[[satisficing]]\nmetric = 'f1'", "give exactly one of max and min"),
        ("[[satisficing]]\nmetric = 'f1'\nmin = 0.1\nmax = 0.9", "give exactly one of max and min"),
        ("[[satisficing]]\nmetric = 'size_bytes'\nmax = 9\nby = 'origin'", "size_bytes has no slices"),
        ("[[slices.guard]]\nmargin = 0.1", "give exactly one of by and where"),
        ("[[slices.guard]]\nby = 'a'\nwhere = 'a == 1'\nmargin = 0.1", "give exactly one of by and where"),
        ("[[slices.guard]]\nwhere = 'a = 1'\nmargin = 0.1", "not a condition"),
        ("[[slices.guard]]\nby = 'a'\nmargin = -0.1", "/slices/guard/0/margin"),
        ("[[slices.guard]]\nby = 'a'\nmargin = nan", "not usable TOML"),
        ("[rollback]\ntarget = 'none'", "go together"),
        ("[[satisficing]]\nmetric = 'custom.own'\nmax = 1", "custom.own is not defined under"),
        ("[[satisficing]]\nmetric = 'expected_cost'\nmax = 1", "needs [costs]"),
        ("[[satisficing]]\nmetric = 'lift_at_k'\nmin = 1", "needs top"),
        ("[[satisficing]]\nmetric = 'equalized_odds_gap'\nmax = 0.1", "takes by"),
        ("[[satisficing]]\nmetric = 'equalized_odds_gap'\nmin = 0.1\nby = 'sex'", "takes by"),
        ("[[slices.watch]]\nmetric = 'roc_auc'\nby = 'sex'\nmargin = 0.1", "no histogram of scores"),
        ("[[slices.guard]]\nmetric = 'selection_rate'\nby = 'sex'\nmargin = 0.1", "/slices/guard/0/metric"),
        (OWN + OWN, "two [[metrics]] have one name"),
        (OWN.replace("tp / n", "tp ** n"), "may not say"),
        ("[calibration]\nmax = 1.5", "/calibration/max"),
        ("[skew.parity]\nmax_mismatch = 0", "/skew/parity/max_mismatch"),
        ("[checklist]\nrequire = ['luck']", "/checklist/require/0"),
    ],
)
def test_a_policy_that_says_nothing_or_two_things_is_refused(text: str, says: str) -> None:
    """An unknown key or metric, a missing or doubled threshold: an error, never a pass."""
    with pytest.raises(InputError) as caught:
        read(text)
    assert says in caught.value.message


def test_a_misspelt_table_comes_with_a_suggestion() -> None:
    """The nearest key that is known anywhere in the policy."""
    with pytest.raises(InputError) as caught:
        read("[slices]\ngaurd = []")
    assert caught.value.hint == "did you mean 'guard'?"


def test_a_first_release_is_said_twice() -> None:
    """No champion and no way back belong together."""
    first = "champion = 'none'\n"

    with pytest.raises(InputError, match="go together"):
        Policy.from_toml(first + HEAD, where="policy.toml")
    assert Policy.from_toml(first + HEAD + "[rollback]\ntarget = 'none'", where="policy.toml").champion == "none"


@pytest.mark.parametrize(
    "lines",
    [
        "require = 'superior'",
        "require = 'superior'\nmargin = 0.1",
        "require = 'superior'\nmin_gain = 0.1\nmargin = 0.1",
        "require = 'non_inferior'\nmin_gain = 0.1",
        "require = 'non_inferior'",
    ],
)
def test_the_threshold_belongs_to_the_requirement(lines: str) -> None:
    """A gain to exceed, or a loss to tolerate; never both, never none."""
    text = f"[data]\nlabel = 'late'\nunit = 'day'\n[optimizing]\nmetric = 'f1'\n{lines}"

    with pytest.raises(InputError, match="takes"):
        Policy.from_toml(text, where="policy.toml")


def test_keys_that_say_nothing_are_not_written() -> None:
    """Policies from before there were such keys keep their digest; those that use them are read back whole."""
    rich = read(
        """
        [costs]
        false_positive = 1.0
        false_negative = 9.0
        [[satisficing]]
        metric = "custom.own"
        min = 0.1
        """
        + OWN
    )

    assert not {b'"metrics"', b'"costs"', b'"top"'} & {
        key for key in (b'"metrics"', b'"costs"', b'"top"') if key in read("").to_bytes()
    }
    assert Policy.from_bytes(rich.to_bytes()) == rich
    assert rich.named == ("log_loss", "custom.own")


def test_a_policy_knows_whose_scores_need_a_histogram() -> None:
    """All rows as soon as any rule is about order; slices only where a guard or a limit is."""
    ranked = read("""
        [[satisficing]]
        metric = "roc_auc"
        min = 0.6
        by = "sex"
        [[slices.guard]]
        metric = "pr_auc"
        where = "age > 30"
        margin = 0.1
        [[slices.guard]]
        by = "city"
        margin = 0.1
        """)

    assert ranked.ranked == (((), None), (("sex",), None), ((), "age > 30"))
    assert read("").ranked == ()


NUMBERS = """
task = "regression"
quantile = 0.9
[data]
label = "delay"
unit = "day"
scale = 600.0
weight = "passengers"
[optimizing]
metric = "pinball"
require = "superior"
min_gain = 0.5
[calibration]
in_the_large = 2.0
by = ["origin", "carrier"]
"""


def test_a_policy_of_numbers_reads_its_label_as_one() -> None:
    """What is told apart, and what is a number, are read in two ways."""
    policy = Policy.from_toml(NUMBERS, where="policy.toml")

    assert policy.kind_of_task == "regression"
    assert policy.columns == ("day", "origin", "carrier")
    assert policy.numbers == ("delay", "passengers")
    assert Policy.from_bytes(policy.to_bytes()) == policy


def test_what_a_policy_does_not_use_leaves_its_bytes_as_they_were() -> None:
    """A policy of yesterday has the digest of yesterday."""
    written = read("").to_bytes()

    for key in (b"task", b"quantile", b"weight", b"scale", b"in_the_large"):
        assert key not in written


def test_a_metric_of_its_own_may_sum_columns() -> None:
    """Each column once, and every one is read as numbers."""
    own = OWN.replace("tp / n", "(amount[fn] + 3 * fee[selected]) / n - amount[positive] / n")

    assert read(own).numbers == ("amount", "fee")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('metric = "pinball"', 'metric = "log_loss"', "log_loss is no metric of a regression task"),
        ("scale = 600.0", "", "scale is for task = 'regression'"),
        ("quantile = 0.9", "", "pinball and quantile go together"),
        ("in_the_large = 2.0", "in_the_large = 2.0\nmax = 0.1", "a regression, which takes in_the_large alone"),
        ("in_the_large = 2.0", "", "a regression takes in_the_large"),
    ],
)
def test_a_policy_fits_its_task(before: str, after: str, message: str) -> None:
    """A metric that the task does not have is an error, never a pass."""
    assert before in NUMBERS
    with pytest.raises(InputError, match=message):
        Policy.from_toml(NUMBERS.replace(before, after), where="policy.toml")


def test_several_classes_have_their_own_metrics() -> None:
    """Averages over classes are theirs; a false positive is of yes and no alone."""
    several = HEAD.replace("log_loss", "f1_macro")

    assert Policy.from_toml('task = "multiclass"' + several, where="policy").kind_of_task == "multiclass"
    with pytest.raises(InputError, match="f1_macro is no metric of a binary task"):
        Policy.from_toml(several, where="policy")
    with pytest.raises(InputError, match=r"custom\.own is no metric of a multiclass task"):
        Policy.from_toml('task = "multiclass"' + HEAD.replace("log_loss", "custom.own") + OWN, where="policy")


SHA = "sha256:" + "a" * 64


def test_a_policy_without_baselines_of_its_own_says_nothing_of_them() -> None:
    """So its digest is what it was before they could be said."""
    dumped = read("").model_dump(mode="json")["baselines"]

    assert dumped == {"zero_rule": "must_beat"}


def test_baselines_are_read_with_their_defaults() -> None:
    """A heuristic must be beaten unless said otherwise, people are reported, and a false answer is not lost."""
    text = f"""
    [baselines.heuristic]
    ref = "rules.onnx"
    digest = "{SHA}"
    threshold = 0.3
    [baselines.human]
    column = "reviewer"
    missing = false
    """
    policy = read(text)
    heuristic, human = policy.baselines.heuristic, policy.baselines.human

    assert heuristic is not None
    assert human is not None
    assert (heuristic.require, human.require, human.missing) == ("must_beat", "report", False)
    assert policy.reviewed == "reviewer"
    assert "reviewer" in policy.columns
    assert Policy.from_bytes(policy.to_bytes()) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[baselines.human]\nerror = 0.1", "give error and n, or column"),
        ("[baselines.human]\nn = 10", "give error and n, or column"),
        ("[baselines.human]", "give error and n, or column"),
        ('[baselines.human]\nerror = 0.1\nn = 10\ncolumn = "x"', "give error and n, or column"),
        ("[baselines.human]\nerror = 0.1\nn = 10\nmissing = 1", "missing goes with column"),
        (f'[baselines.heuristic]\nref = "rules.py"\ndigest = "{SHA}"', "ref"),
        (f'[baselines.heuristic]\nref = "r.toml"\ndigest = "{SHA}"\nthreshold = 0.2', "rules say their own"),
        ('[baselines.heuristic]\nref = "r.toml"', "Field required"),
    ],
)
def test_a_baseline_that_says_too_little_or_too_much_is_refused(text: str, message: str) -> None:
    """Each says one thing, and a file is pinned before the run."""
    with pytest.raises(InputError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ('task = "multiclass"', f'[baselines.heuristic]\nref = "r.toml"\ndigest = "{SHA}"', "not one of several"),
        ('task = "regression"', "[baselines.human]\nerror = 0.1\nn = 10", "which a regression does not have"),
    ],
)
def test_a_baseline_fits_the_task(task: str, text: str, message: str) -> None:
    """Rules have one score, and people's wrong answers are about classes."""
    head = HEAD.replace('unit = "day"', 'unit = "day"\nscale = 3.0') if "regression" in task else HEAD
    head = head.replace("log_loss", "mae") if "regression" in task else head
    with pytest.raises(InputError, match=message):
        Policy.from_toml(task + head + text, where="policy.toml")
