"""The rules about what is known of a bundle beyond its predictions."""

import math
from collections.abc import Iterator
from dataclasses import replace

from candidate.documents.evidence import Replay
from candidate.judgement.gate.case import Case
from candidate.judgement.gate.claims import Claim, exact, hold, needed
from candidate.judgement.gate.measures import Measure
from candidate.judgement.gate.wording import about, confidence, number
from candidate.judgement.holdout import alpha_of
from candidate.judgement.intervals import MIN_UNITS, Share

MAX_NAMED = 8
"""So many names stand in a sentence; the rest are counted."""


def listed(names: list[str]) -> str:
    """Return names in a sentence, the first few of them."""
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def availability_claims(case: Case) -> Iterator[Claim]:
    """Hold that serving promised every feature that the graph reads."""
    facts = case.evidence.challenger
    rule, metric = "availability", "features"
    if facts.promised_features is None:
        why = "nobody said which features serving provides: add [serving] features to candidate.toml"
        yield exact(rule, "availability", metric, "open", why)
        return
    absent = [name for name in facts.features if name not in facts.promised_features]
    if absent:
        why = f"serving does not provide {listed(absent)}"
        yield exact(rule, "availability", metric, "fail", why)
    else:
        why = f"serving provides all {len(facts.features)} features"
        yield exact(rule, "availability", metric, "pass", why)


def contamination_claims(case: Case) -> Iterator[Claim]:
    """Refuse rows that one of the models was trained on; rows in another file are not told apart here."""
    evidence = case.evidence
    for role, facts in (("challenger", evidence.challenger), ("champion", evidence.champion)):
        if facts is not None and facts.train_data == evidence.data.file:
            why = f"these rows are the very file that the {role} was trained on"
            yield exact("contamination", "optimizing", "rows", "fail", why)
        if facts is not None and facts.calibration_data == evidence.data.file:
            why = f"these rows are the very file that the {role}'s scores were calibrated on"
            yield exact("contamination", "optimizing", "rows", "fail", why)


def holdout_claims(case: Case) -> Iterator[Claim]:
    """Hold that the rows may still be looked at, if the policy limits how often."""
    rule, spent = case.policy.holdout, case.evidence.holdout
    if rule is None:
        return
    name, metric = "holdout", "looks"
    if spent is None:
        yield exact(name, "optimizing", metric, "open", "nobody counted how often these rows were looked at")
        return
    of = "" if rule.spend == "open" else f" of {rule.budget}"
    alpha = alpha_of(spent.look, case.policy.alpha, rule)
    if alpha > 0:
        why = f"look {spent.look}{of} at these rows: the optimizing metric is held at alpha = {alpha:.2g}"
        yield exact(name, "optimizing", metric, "pass", why)
    else:
        why = f"the holdout is exhausted: look {spent.look}{of}; collect fresh rows"
        yield exact(name, "optimizing", metric, "open", why)


def skew_claims(case: Case) -> Iterator[Claim]:
    """Hold that the graph in the bundle predicts what the fitted pipeline predicts."""
    rule, parity = case.policy.skew.parity, case.evidence.challenger.parity
    claim = Claim("skew.parity", "skew", "parity_mismatch", None, blocks=True, otherwise="open", why={})
    if parity is None:
        why = "the source was an ONNX graph: there was no pipeline to compare it with"
        yield replace(claim, why={"open": why}, limit=rule.max_mismatch)
        return
    if parity.rows < 1 or not 0 <= parity.mismatches <= parity.rows:
        why = f"{parity.mismatches} of {parity.rows} rows differ: the counts contradict each other"
        yield replace(claim, why={"open": why}, limit=rule.max_mismatch)
        return
    risk = case.risk
    share = Share(parity.mismatches, parity.rows, method="Clopper-Pearson")
    # Rows of a parity check are drawn for it, so that each of them is a unit.
    measure = Measure("share of rows that differ", "1", parity.rows, max(parity.rows, MIN_UNITS), share)
    found = hold(share, rule.max_mismatch, truth="at most", alpha=risk.alpha)
    level = f"with {confidence(risk.alpha)}"
    seen = f"{parity.mismatches:,} of {parity.rows:,} rows differ between pipeline and graph"
    most, least = number(100 * found.bound), number(100 * share.lower(risk.alpha))
    asked = f"tolerated {number(100 * rule.max_mismatch)} %"
    enough = None if found.held else needed(measure, found.half, found.slack, risk)
    if parity.mismatches == 0:  # the bound of none at all shrinks with the rows, not with their root
        enough = math.ceil(math.log(risk.alpha) / math.log1p(-rule.max_mismatch))
    required = max(enough or 0, rule.rows)
    short = f"needs about {about(required):,} rows" if required > parity.rows else "more rows may not decide it"
    yield replace(
        claim,
        held=found.held and parity.rows >= rule.rows,
        p_value=found.p_value,
        estimate=measure.estimate(risk.alpha),
        limit=rule.max_mismatch,
        n_needed=required if required > parity.rows else None,
        why={
            "pass": f"{seen} (at most {most} % {level}), {asked}",
            "fail": f"{seen} (at least {least} % {level}), {asked}",
            "open": f"{seen} (at most {most} % {level}), {asked}: {short}",
        },
    )


def reproducibility_claims(case: Case) -> Iterator[Claim]:
    """Hold that what is needed to train the model again is on record."""
    facts = case.evidence.challenger
    absent = []
    strict = case.policy.reproduce.require_clean
    if facts.commit is None and (strict or facts.source_digest is None):
        absent.append("the commit")
    if strict and facts.dirty is not False:
        absent.append("a checkout without uncommitted changes")
    if facts.libraries < 1:
        absent.append("the versions of the libraries")
    if not facts.seeds_recorded:
        absent.append("the seeds")
    if absent:
        why = f"not on record: {', '.join(absent)}"
        yield exact("reproduce", "reproducibility", "record", "open", why)
    else:
        code = f"commit {facts.commit[:12]}" if facts.commit else "the digest of the source"
        why = f"{code}, training data, seeds and {facts.libraries} library versions are on record"
        yield exact("reproduce", "reproducibility", "record", "pass", why)


def _replayed(replay: Replay) -> str:
    rows = f"{replay.rows:,} golden rows"
    if replay.passed:
        return f"{rows} replayed, largest difference {number(replay.max_difference)}"
    return f"the replay of {rows} failed, largest difference {number(replay.max_difference)}"


def packaging_claims(case: Case) -> Iterator[Claim]:
    """Hold that the challenger's golden rows replayed on this host."""
    facts = case.evidence.challenger
    attested = "a trusted builder attested it" if facts.attested else "its attestation was not checked"
    why = f"{_replayed(facts.replay)}; {attested}"
    yield exact("packaging", "packaging", "replay", "pass" if facts.replay.passed else "fail", why)


def rollback_claims(case: Case) -> Iterator[Claim]:
    """Hold that the champion, which a rollback returns to, still replays."""
    champion = case.evidence.champion
    if champion is None:
        why = "a first release has nothing to return to, and the policy says so"
        yield exact("rollback", "rollback", "replay", "pass", why)
        return
    name = f"{champion.bundle.name} {champion.bundle.version}"
    why = f"{name}: {_replayed(champion.replay)}"
    yield exact("rollback", "rollback", "replay", "pass" if champion.replay.passed else "fail", why)
