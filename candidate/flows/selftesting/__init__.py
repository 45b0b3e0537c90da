"""Plant faults and see whether the gate finds them, and that it finds none where there is none.

Everything goes the way of a comparison from the scores on: State, evidence, verdict; and, for what is
tampered with, the audit. Rows are drawn anew for each run, unit by unit, so that rates mean something.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from candidate import __version__
from candidate.adapters.attest import Signer, attest
from candidate.documents.manifest import ShaDigest
from candidate.documents.names import SELFTEST_TYPE
from candidate.documents.policy import Policy
from candidate.documents.selftest import SelfTest, Trial
from candidate.documents.statement import Statement, Subject
from candidate.errors import InputError
from candidate.flows.measuring import read_policy
from candidate.flows.progress import Progress, silent
from candidate.flows.selftesting.faults import FAULTS, NOT_CAUGHT, Fault
from candidate.flows.selftesting.gate import equal_pair, failed, judged
from candidate.flows.selftesting.rows import Rows, made_up, scored_rows
from candidate.flows.selftesting.tampering import made, noticed, untouched
from candidate.judgement.intervals import Share

__all__ = ["selftest", "selftest_statement", "signed_selftest"]

RUNS = 200
GIVEN_RUNS = 40
"""Of somebody's own rows, which may be many: still under a minute or two."""
MOST_RUNS = 10_000
ALPHA = 0.05
"""One-sided error rate of the bounds of each rate."""
PAIRED = ("slices.", "optimizing")
"""Rules of which equal models break none; the optimizing one only where it asks for no gain."""


def selftest(
    *,
    data: Path | str | None = None,
    bundle: Path | str | None = None,
    policy: Policy | Path | str | None = None,
    runs: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> SelfTest:
    """Plant faults in rows, scores and bytes, and count how many the gate catches.

    Args:
        data: rows with their label; with ``bundle`` and ``policy``, or none of the three for made-up rows.
        bundle: whose scores the faults are planted in.
        policy: by which they are judged.
        runs: how often each fault is planted; by default 200 times in made-up rows, 40 times in given ones.
        seed: of everything that is drawn; the same seed finds the same.
        progress: told how far it is.

    Raises:
        InputError: some of data, bundle and policy without the others, or runs that are none.
    """
    given = [each is not None for each in (data, bundle, policy)]
    if any(given) and not all(given):
        raise InputError(
            "data, bundle and policy go together", where="--data, --bundle, --policy", hint="give all three, or none"
        )
    runs = (GIVEN_RUNS if all(given) else RUNS) if runs is None else runs
    if not 1 <= runs <= MOST_RUNS or seed < 0:
        raise InputError(f"{runs} runs from seed {seed}", where="--runs", hint=f"1 to {MOST_RUNS}, seeds from 0 on")
    if data is not None and bundle is not None and policy is not None:
        rules = policy if isinstance(policy, Policy) else read_policy(Path(policy))
        rows = scored_rows(Path(data), Path(bundle), rules, seed=seed, progress=progress)
    else:
        rows = made_up(seed)
        rules = rows.policy
    untried = [f"{fault.name}: {why}" for fault in FAULTS if (why := fault.needs(rows))]
    tried = [fault for fault in FAULTS if not fault.needs(rows)]
    trials = [_equal(rows, runs, seed, progress)]
    trials += [_planted(rows, fault, runs, [seed, number], progress) for number, fault in enumerate(tried, start=1)]
    trials.append(_tampered(rows, runs, seed, progress))
    return SelfTest(
        source="made-up rows" if data is None else "given rows",
        bundle=None if data is None else rows.facts.bundle,
        policy=rules.digest,
        data=None if data is None else rows.data.file,
        rows=len(rows.positive),
        units=int(rows.units.max()) + 1,
        seed=seed,
        candidate=__version__,
        trials=tuple(trials),
        not_tested=(*untried, *NOT_CAUGHT),
    )


def _trial(
    name: str, planted: str, counts: str, found: list[str | None], promise: str, kept: Callable[[Share], bool]
) -> Trial:
    """Return what came of the runs of one trial.

    Args:
        name: code of the trial.
        planted: what was done.
        counts: what counts as caught.
        found: for each run what the gate said, None where it said nothing.
        promise: what must hold of the rate.
        kept: whether it does.
    """
    said = [each for each in found if each is not None]
    rate = Share(len(said), len(found), method="Clopper-Pearson")
    return Trial(
        name=name,
        planted=planted,
        counts=counts,
        runs=len(found),
        caught=len(said),
        lower=rate.lower(ALPHA),
        upper=rate.upper(ALPHA),
        promise=promise,
        held=kept(rate),
        example=said[-1] if said else "",
    )


def _equal(rows: Rows, runs: int, seed: int, progress: Progress) -> Trial:
    """Two equal models: no rule about their difference may be found broken more often than the policy's alpha."""
    rng, alpha = np.random.default_rng([seed, 0]), rows.policy.alpha
    superior = rows.policy.optimizing.require == "superior"
    rules = [rule for rule in PAIRED if not (superior and rule == "optimizing")]
    found: list[str | None] = []
    for run in range(runs):
        progress("equal models", run / runs)
        verdict = judged(equal_pair(rows, rng), rng)
        alarms = [finding for rule in rules if (finding := failed(verdict, rule)) is not None]
        found.append(alarms[0].why if alarms else None)
    return _trial(
        "equal",
        "nothing: both models see the same scores, each through its own noise",
        "a rule about their difference that is found broken: a false alarm",
        found,
        f"at most {100 * alpha:g} % false alarms",
        lambda rate: rate.lower(ALPHA) <= alpha,
    )


def _planted(rows: Rows, fault: Fault, runs: int, seed: list[int], progress: Progress) -> Trial:
    rng = np.random.default_rng(seed)
    found: list[str | None] = []
    for run in range(runs):
        progress(fault.name, run / runs)
        pair = fault.plant(equal_pair(rows, rng), rng)
        verdict = judged(pair, rng)
        broken = [each for rule in fault.rules if (each := failed(verdict, rule, pair.target or None)) is not None]
        found.append(broken[0].why if broken and verdict.outcome == "no-go" else None)
    rules = " or ".join(rule.rstrip(".") for rule in fault.rules)
    return _trial(
        fault.name,
        fault.planted,
        f"a no-go in which {rules} is found broken",
        found,
        "every one is caught",
        lambda rate: rate.count == rate.n,
    )


def _tampered(rows: Rows, runs: int, seed: int, progress: Progress) -> Trial:
    rng = np.random.default_rng([seed, len(FAULTS) + 1])
    case = made(rows, rng)
    untouched(case)
    found = []
    for run in range(runs):
        progress("tampering", run / runs)
        found.append(noticed(case, rng, run))
    return _trial(
        "tampering",
        "in turn: a bit of an evidence file, a count listed anew, a finding reworded, a bit of the signed decision",
        "an audit that raises an error",
        found,
        "every one is caught",
        lambda rate: rate.count == rate.n,
    )


def selftest_statement(result: SelfTest) -> Statement:
    """Return the in-toto statement of a self-test: about the bundle, or about the policy that the made-up rows had."""
    name, digest = ("policy", result.policy)
    if result.bundle is not None:
        name, digest = f"{result.bundle.name}-{result.bundle.version}", result.bundle.digest
    return Statement(
        subject=(Subject(name=name, digest=ShaDigest(sha256=digest.removeprefix("sha256:"))),),
        predicate_type=SELFTEST_TYPE,
        predicate=result.model_dump(mode="json"),
    )


def signed_selftest(result: SelfTest, signer: Signer | None) -> bytes:
    """Return the bytes to keep of a self-test: its attestation by an approver, or the document where nobody signs."""
    return result.to_bytes() if signer is None else attest(selftest_statement(result), signer).to_bytes()
