"""The rules about what is known of a bundle: each answer of each."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from candidate.documents.decision import Finding, Verdict
from candidate.documents.evidence import Replay
from candidate.documents.manifest import Parity
from candidate.judgement.gate import judge
from candidate.judgement.gate.facts import listed
from tests.judgement.worlds import World, durations, facts, policy, sha, simulate, world


@cache
def base() -> World:
    """Evidence that nothing is wrong with."""
    rng = np.random.default_rng(1)
    return world(simulate(rng, 6000, noise=(0.2, 1.2)), latency=durations(rng))


def parity(rows: int, mismatches: int) -> Parity:
    """A comparison of pipeline and graph."""
    return Parity(rows=rows, float_bits=32, max_difference=0.1, label_flips=0, mismatches=mismatches, tolerance=1e-5)


def judged(rules: dict[str, Any] | None = None, **changes: Any) -> Verdict:
    """The verdict when one thing about the challenger is different."""
    found = base().changed(challenger=facts("a", **changes))
    return judge(policy(**(rules or {})), found.evidence, found.arrays)


def only(result: Verdict, rule: str) -> Finding:
    """The one finding of a rule."""
    (finding,) = [finding for finding in result.findings if finding.rule == rule]
    return finding


def test_every_feature_must_have_been_promised() -> None:
    """A feature that serving lacks is a no-go that names it; silence is open."""
    missing = judged(promised_features=("distance",))
    silent = judged(promised_features=None)

    assert missing.outcome == "no-go"
    assert only(missing, "availability").why == "serving does not provide origin"
    assert silent.outcome == "inconclusive"
    assert "nobody said" in only(silent, "availability").why


def test_rows_that_a_model_was_trained_on_prove_nothing() -> None:
    """Comparing on the challenger's own training file is a no-go that says so."""
    trained = judged(train_data=base().evidence.data.file)

    assert trained.outcome == "no-go"
    assert only(trained, "contamination").why == "these rows are the very file that the challenger was trained on"
    assert [finding for finding in judged().findings if finding.rule == "contamination"] == []


def test_rows_that_scores_were_calibrated_on_prove_nothing_either() -> None:
    """A map that was fitted on these rows fits them."""
    mapped = judged(calibration_data=base().evidence.data.file)

    assert mapped.outcome == "no-go"
    assert "the challenger's scores were calibrated on" in only(mapped, "contamination").why
    assert judged(calibration_data=sha("9")).outcome == judged().outcome


def test_long_lists_are_cut() -> None:
    """Eight names and a number."""
    assert listed([str(name) for name in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert listed(["a", "b"]) == "a, b"


@pytest.mark.parametrize(
    ("measured", "status", "words"),
    [
        (parity(3000, 0), "pass", "0 of 3,000 rows differ"),
        (parity(2999, 0), "open", "needs about 3,000 rows"),
        (parity(100, 0), "open", "needs about 3,000 rows"),
        (parity(3000, 1), "open", "needs about"),
        (parity(3000, 4), "open", "more rows may not decide it"),
        (parity(3000, 300), "fail", "at least"),
        (parity(200, 100), "fail", "tolerated 0.1 %"),
        (parity(0, 0), "open", "contradict"),
        (parity(10, 11), "open", "contradict"),
        (parity(10, -1), "open", "contradict"),
        (None, "open", "the source was an ONNX graph"),
    ],
)
def test_parity_needs_enough_rows_and_few_mismatches(measured: Parity | None, status: str, words: str) -> None:
    """Held against exact binomial bounds; no comparison is no proof."""
    finding = only(judged(parity=measured), "skew.parity")

    assert finding.status == status
    assert words in finding.why
    assert finding.limit == 0.001


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"commit": None}, "the commit"),
        ({"dirty": True}, "without uncommitted changes"),
        ({"dirty": None}, "without uncommitted changes"),
        ({"libraries": 0}, "libraries"),
        ({"seeds_recorded": False}, "the seeds"),
        ({"commit": None, "seeds_recorded": False}, "the commit, the seeds"),
    ],
)
def test_what_is_needed_to_train_again_must_be_on_record(changes: dict[str, Any], words: str) -> None:
    """What is missing is named."""
    finding = only(judged(**changes), "reproduce")

    assert finding.status == "open"
    assert words in finding.why


def test_a_policy_may_do_without_a_clean_checkout() -> None:
    """Then uncommitted changes are no obstacle, and the source's digest may stand for the commit."""
    rules = {"reproduce": {"require_clean": False}}
    digest = judged(rules, commit=None, source_digest=sha("f"))

    assert only(judged(rules, dirty=True), "reproduce").status == "pass"
    assert only(judged(rules, dirty=True, commit=None), "reproduce").status == "open"
    assert only(digest, "reproduce").status == "pass"
    assert "the digest of the source" in only(digest, "reproduce").why
    assert only(judged(commit=None, source_digest=sha("f")), "reproduce").status == "open"


def test_a_failed_replay_is_a_no_go() -> None:
    """The challenger's, because it is not what was built; the champion's, because there is no way back."""
    failed = Replay(rows=32, max_difference=0.5, passed=False)
    found = base().changed(champion=facts("b", replay=failed))
    back = judge(policy(), found.evidence, found.arrays)

    assert judged(replay=failed).outcome == "no-go"
    assert "failed" in only(judged(replay=failed), "packaging").why
    assert back.outcome == "no-go"
    assert only(back, "rollback").why.startswith("late-flights b: the replay of 32 golden rows failed")


def test_whether_anybody_attested_the_bundle_is_said() -> None:
    """It does not decide, it is told."""
    assert "a trusted builder attested it" in only(judged(), "packaging").why
    assert "its attestation was not checked" in only(judged(attested=False), "packaging").why


def test_each_line_names_what_it_rests_on() -> None:
    """Digests of evidence files and bundles, so that a reader can look."""
    lines = {item.line: item.evidence for item in judged().checklist}

    state, calibration, latency = sha("3"), sha("0"), sha("1")
    assert lines["optimizing"] == lines["slices"] == (state,)
    assert lines["satisficing"] == (state, latency, sha("a"))
    assert lines["calibration"] == (calibration,)
    assert lines["availability"] == lines["skew"] == lines["packaging"] == (sha("a"),)
    assert lines["reproducibility"] == (sha("a"), sha("d"))
    assert lines["rollback"] == (sha("b"),)


def test_a_line_without_a_file_of_its_own_names_the_evidence() -> None:
    """Evidence that lists no files still has a digest."""
    found = base().changed(files=())
    lines = {item.line: item.evidence for item in judge(policy(), found.evidence, found.arrays).checklist}

    assert lines["optimizing"] == (found.evidence.digest,)
