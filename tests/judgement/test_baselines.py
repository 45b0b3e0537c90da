"""A heuristic and people are counted beside the models, and the challenger is held against them."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from candidate.documents.decision import Finding
from candidate.documents.evidence import ModelRole, StateAxes
from candidate.errors import IntegrityError
from candidate.judgement.gate import judge
from candidate.judgement.gate.measures import gain
from candidate.judgement.intervals import Share, ShareGap
from candidate.judgement.metrics import METRICS
from candidate.judgement.state import COLUMN_STEP, Layout, State, observe, observe_classes
from tests.judgement.worlds import World, durations, policy, sha, sigmoid, simulate, world

ROWS = 4000
ALL: tuple[ModelRole, ...] = ("challenger", "champion", "heuristic")


def counted(
    models: tuple[ModelRole, ...] = ALL, *, human: float | None = None, noise: tuple[float, ...] = (0.5, 0.9, 3.0)
) -> tuple[World, dict[str, Any]]:
    """A world of these models and, if asked for, of a person who errs in this share of rows."""
    rng = np.random.default_rng(11)
    truth = rng.normal(-0.6, 1.5, ROWS)
    positive = rng.random(ROWS) < sigmoid(truth)
    scores = sigmoid(np.stack([truth + each * rng.normal(size=ROWS) for each in noise[: len(models)]], axis=1))
    predicted = scores >= 0.5
    said = positive ^ (rng.random(ROWS) < (human or 0.0))
    state = observe(
        positive=positive,
        scores=scores,
        predicted=predicted if human is None else np.column_stack([predicted, said]),
        groups=[np.zeros(ROWS, dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(ROWS) % 64,
        n_buckets=64,
        models=models,
        bins=15,
    )
    made = world(state, models=models[:2] if "champion" in models else models[:1], latency=durations(rng))
    axes = made.evidence.state.model_copy(
        update={
            "models": models,
            "human": human is not None,
            "statistics": Layout(models, human=human is not None).statistics,
        }
    )
    return made.changed(state=axes), {"positive": positive, "predicted": predicted, "said": said}


def rules(**baselines: Any) -> dict[str, Any]:
    """The keys of a policy about the two."""
    return {"baselines": baselines, "slices": {}, "calibration": None}


HEURISTIC = {"ref": "rules.toml", "digest": sha("f")}


def found(made: World, **changes: Any) -> dict[str, Finding]:
    """Findings by rule."""
    asked = policy(**changes)
    return {each.rule: each for each in judge(asked, made.evidence, made.arrays).findings}


def test_the_gain_over_a_heuristic_and_over_people_is_paired() -> None:
    """Rows that only one of the two gets right are what the interval rests on."""
    made, rows = counted(human=0.2)
    totals = made.arrays.state.totals(0, made.evidence.state.statistics)
    right = rows["predicted"] == rows["positive"][:, np.newaxis]

    for rival, other in (("heuristic", right[:, 2]), ("human", rows["said"] == rows["positive"])):
        measure = gain(totals, METRICS["error_rate"], rival)
        assert int(totals[f"gained.{rival}"].sum()) == int((right[:, 0] & ~other).sum())
        assert int(totals[f"lost.{rival}"].sum()) == int((~right[:, 0] & other).sum())
        assert measure.interval is not None
        assert measure.interval.value == pytest.approx(right[:, 0].mean() - other.mean())
        assert "Tango" in measure.interval.method
    assert int(totals["gained"].sum()) == int((right[:, 0] & ~right[:, 1]).sum())


def test_several_classes_are_paired_with_people_too() -> None:
    """Each class of theirs is counted as a model's is; they have no scores."""
    rng = np.random.default_rng(3)
    label = rng.integers(0, 3, 900)
    probabilities = rng.dirichlet(np.ones(3), (900, 2))
    answers = probabilities.argmax(axis=2)
    human = np.where(rng.random(900) < 0.7, label, rng.integers(0, 3, 900))
    state = observe_classes(
        label=label,
        probabilities=probabilities,
        answers=np.column_stack([answers, human]),
        groups=[np.zeros(900, dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(900) % 32,
        n_buckets=32,
        models=("challenger", "champion"),
        bins=5,
    )
    layout = Layout(("challenger", "champion"), "multiclass", 3, human=True)
    totals = state.totals(0, layout.statistics)

    assert int(totals["gained.human"].sum()) == int(((answers[:, 0] == label) & (human != label)).sum())
    assert int(totals["lost.human"].sum()) == int(((answers[:, 0] != label) & (human == label)).sum())
    assert int(totals["gained"].sum()) == int(((answers[:, 0] == label) & (answers[:, 1] != label)).sum())
    theirs = METRICS["accuracy"].of(totals.summed(), "human")
    assert float(theirs) == pytest.approx((human == label).mean())
    assert "log_loss.human" not in layout.statistics


def test_columns_are_summed_by_what_people_answer() -> None:
    """So that a cost that depends on the row can be held against theirs."""
    rng = np.random.default_rng(4)
    positive, said, amount = rng.random(500) < 0.4, rng.random(500) < 0.5, rng.integers(1, 90, 500).astype(np.float64)
    scores = rng.random((500, 1))
    state = observe(
        positive=positive,
        scores=scores,
        predicted=np.column_stack([scores >= 0.5, said]),
        groups=[np.zeros(500, dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(500) % 32,
        n_buckets=32,
        models=("challenger",),
        bins=5,
        columns={"amount": amount},
    )
    totals = state.totals(0, Layout(("challenger",), columns=("amount",), human=True).statistics).summed()

    for model, answers in (("challenger", scores[:, 0] >= 0.5), ("human", said)):
        assert int(totals[f"fn:amount.{model}"]) == int(amount[positive & ~answers].sum()) * COLUMN_STEP
        assert int(totals[f"fp.{model}"]) == int((~positive & answers).sum())


def test_a_heuristic_must_be_beaten_or_is_reported() -> None:
    """It joins the no-go family only where it must be beaten."""
    made, _ = counted()
    beaten = found(made, **rules(heuristic=HEURISTIC))["baselines.heuristic"]
    assert (beaten.status, beaten.blocks, beaten.metric, beaten.line) == ("pass", True, "log_loss", "optimizing")
    assert "over the heuristic" in beaten.why

    worse, _ = counted(noise=(4.0, 6.0, 0.2))
    must = found(worse, **rules(heuristic=HEURISTIC))["baselines.heuristic"]
    report = found(worse, **rules(heuristic={**HEURISTIC, "require": "report"}))["baselines.heuristic"]
    assert must.status == "fail"
    assert must.p_value is not None
    assert (report.status, report.blocks, report.p_value) == ("open", False, None)


@pytest.mark.parametrize(("require", "label"), [("must_beat", "heuristic"), ("report", "zero-rule")])
def test_a_first_release_has_to_beat_what_is_done_without_a_model(require: str, label: str) -> None:
    """The heuristic takes the champion's place, if it must be beaten; the zero-rule is held in any case."""
    made, _ = counted(("challenger", "heuristic"))
    first = {"champion": "none", "rollback": {"target": "none"}}
    findings = found(made, **first, **rules(heuristic={**HEURISTIC, "require": require}))

    assert f"over the {label}" in findings["optimizing"].why
    assert {findings[name].status for name in ("optimizing", "baselines.zero_rule", "baselines.heuristic")} == {"pass"}


def test_people_are_held_by_classes_where_the_metric_is_one_of_scores() -> None:
    """They give answers, not probabilities."""
    made, rows = counted(("challenger", "champion"), human=0.4)
    right = (rows["predicted"][:, 0] == rows["positive"]).mean()
    asked = rules(human={"column": "reviewer", "require": "must_beat"})

    by_loss = found(made, **asked)["baselines.human"]
    assert (by_loss.status, by_loss.metric, by_loss.blocks) == ("pass", "error_rate", True)
    assert by_loss.estimate is not None
    assert by_loss.estimate.value == pytest.approx(right - (rows["said"] == rows["positive"]).mean())
    by_f1 = found(made, optimizing={"metric": "f1", "require": "superior", "min_gain": 0.0}, **asked)
    assert by_f1["baselines.human"].metric == "f1"
    careful, _ = counted(("challenger", "champion"), human=0.01)
    assert found(careful, **asked)["baselines.human"].status == "fail"
    told = found(careful, **rules(human={"column": "reviewer"}))["baselines.human"]
    assert (told.status, told.n_needed) == ("open", None)
    assert re.search(r"over people -0\.\d+ \(from -0\.\d+ to -0\.\d+, each with 95 % confidence\), only", told.why)


def test_a_figure_of_people_is_another_sample() -> None:
    """The gap of two error rates has the width of both, so that a figure of few rows says little."""
    made, rows = counted(("challenger", "champion"))
    wrong = int((rows["predicted"][:, 0] != rows["positive"]).sum())
    many = found(made, **rules(human={"error": 0.4, "n": 5000}))["baselines.human"]
    few = found(made, **rules(human={"error": 0.4, "n": 50}))["baselines.human"]

    assert many.estimate is not None
    assert few.estimate is not None
    assert (many.status, many.metric, many.blocks, many.p_value) == ("pass", "error_rate", False, None)
    exact = ShareGap(Share(2000.0, 5000), Share(wrong, ROWS))
    assert many.estimate.value == pytest.approx(exact.value)
    assert many.estimate.lower is not None
    assert few.estimate.lower is not None
    assert many.estimate.lower <= exact.lower(0.05) + 1e-9
    assert few.estimate.lower < many.estimate.lower - 0.05
    must = found(made, **rules(human={"error": 0.0, "n": 5000, "require": "must_beat"}))["baselines.human"]
    assert must.status == "fail"
    tiny = found(made, **rules(human={"error": 0.4, "n": 19}))["baselines.human"]
    assert "only 19 rows" in tiny.why
    assert (tiny.status, tiny.estimate is not None and tiny.estimate.lower) == ("open", None)


def test_without_rows_nothing_is_said_of_people() -> None:
    """Undefined is open, never better."""
    made, _ = counted(("challenger", "champion"))
    state = made.arrays.state
    empty = State(np.zeros_like(state.counts), np.zeros_like(state.bins))
    none = World(made.evidence, replace(made.arrays, state=empty))

    finding = found(none, **rules(human={"error": 0.2, "n": 100}))["baselines.human"]
    assert (finding.status, finding.estimate) == ("open", None)


@pytest.mark.parametrize(
    ("models", "human", "asked"),
    [
        (ALL, None, {}),
        (("challenger", "champion"), None, {"heuristic": HEURISTIC}),
        (("challenger", "champion"), 0.1, {}),
        (("challenger", "champion"), None, {"human": {"column": "reviewer"}}),
    ],
    ids=["no heuristic asked", "no heuristic counted", "no human asked", "no human counted"],
)
def test_what_was_counted_is_what_the_policy_asks(
    models: tuple[ModelRole, ...], human: float | None, asked: dict[str, Any]
) -> None:
    """Neither is a baseline left out, nor one brought in that nobody fixed before."""
    made, _ = counted(models, human=human)

    with pytest.raises(IntegrityError, match="state"):
        found(made, **rules(**asked))


def test_a_state_without_them_is_what_it_was() -> None:
    """Keys and names that older evidence does not have are not written."""
    state = simulate(np.random.default_rng(1), 500)
    axes = world(state).evidence.state
    dumped = StateAxes.model_validate(axes.model_dump()).model_dump(mode="json")

    assert "human" not in dumped
    assert axes.statistics[-2:] == ("gained", "lost")
