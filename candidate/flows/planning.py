"""Before the blackbox is opened: what a comparison could tell, and how large a margin must be."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

from candidate.adapters import ledger as file
from candidate.adapters.archive import Archive
from candidate.documents.evidence import Evidence
from candidate.documents.ledger import LedgerEntry
from candidate.documents.plan import Plan, RetrainNoise
from candidate.documents.policy import Policy
from candidate.errors import InputError
from candidate.flows.auditing import arrays_of, read_evidence
from candidate.flows.comparing import compare
from candidate.flows.latency import THREADS
from candidate.flows.measuring import Scorer, measure, read_policy
from candidate.flows.progress import Progress, silent
from candidate.flows.verifying import inspect
from candidate.judgement.gate import Arrays
from candidate.judgement.holdout import fold
from candidate.judgement.noise import Pair, noise_of
from candidate.judgement.power import planned

LEAST_RETRAINS = 5
"""With fewer bundles of a recipe a 95th percentile is a guess."""


def _without_budget(policy: Policy) -> Policy:
    """Return the policy as a pilot is measured: rows that were looked at anyway have no budget."""
    data = policy.data.model_copy(update={"blackbox": None, "eyeball": None})
    return policy.model_copy(update={"holdout": None, "data": data})


def _measured(
    policy: Policy,
    root: Path,
    pilot: Path,
    challenger: Path | None,
    champion: str | None,
    engine: str,
    progress: Progress,
) -> tuple[Evidence, Arrays]:
    """Return the evidence of a pilot: out of a folder, or measured on its rows."""
    if pilot.is_dir():
        evidence, used, arrays = read_evidence(pilot)
        if used.digest != policy.digest and used.digest != _without_budget(policy).digest:
            raise InputError(
                "this evidence was measured for another policy",
                where=str(pilot),
                hint="give rows instead, with --challenger and --champion",
            )
        return evidence, arrays
    if challenger is None or champion is None:
        raise InputError(
            "rows alone tell nothing of two models",
            where="--pilot",
            hint="give --challenger BUNDLE and --champion BUNDLE (or none) too, or an evidence folder as the pilot",
        )
    done = compare(
        challenger,
        champion=champion,
        policy=_without_budget(policy),
        data=pilot,
        engine=engine,
        root=root,
        progress=progress,
    )
    return done.evidence, arrays_of(done.evidence, done.files)


def plan(
    policy: Policy | Path | str,
    *,
    pilot: Path | str,
    challenger: Path | str | None = None,
    champion: Path | str | None = None,
    rows: int | None = None,
    ledger: Path | str | None = None,
    engine: str = "serial",
    progress: Progress = silent,
) -> Plan:
    """Say what a comparison by this policy could tell, before the blackbox is opened.

    Args:
        policy: what will be held.
        pilot: eyeball rows, or the evidence folder of an earlier comparison by this policy.
        challenger: with rows, a bundle such as will be compared.
        champion: with rows, the bundle that it will be compared with, or ``none``.
        rows: of the blackbox; by default as many as the pilot has.
        ledger: if given, the plan's digest is written there: then the policy was fixed before the look.
        engine: where the rows are counted.
        progress: told what is being done.

    Raises:
        InputError: policy, pilot or bundles do not fit together.
        IntegrityError: evidence or ledger is not what it should be.
    """
    rules = policy if isinstance(policy, Policy) else read_policy(Path(policy))
    evidence, arrays = _measured(
        rules,
        Path() if isinstance(policy, Policy) else Path(policy).parent,
        Path(pilot),
        None if challenger is None else Path(challenger),
        None if champion is None else str(champion),
        engine,
        progress,
    )
    if rows is not None and rows < 1:
        raise InputError("a blackbox of no rows tells nothing", where="--rows")
    asked = rows or evidence.data.rows
    found = planned(rules, evidence, arrays, asked)
    made = Plan(
        policy=rules.digest,
        challenger=evidence.challenger.bundle,
        champion=None if evidence.champion is None else evidence.champion.bundle,
        pilot=evidence.data,
        rows=asked,
        alpha=rules.alpha,
        look_alpha=found.look_alpha,
        power=rules.power,
        guard_power=found.guard_power,
        no_go_claims=found.claims,
        lines=found.lines,
        undecidable=found.undecidable,
        go_power=found.go_power,
    )
    if ledger is not None:
        _register(Path(ledger), made)
    return made


def _register(ledger: Path, made: Plan) -> None:
    with file.locked(ledger, create=True) as opened:
        known = fold(opened.lines, where=ledger.name)
        if not any(entry.what == "plan" and entry.of == made.digest for entry in known.entries):
            entry = LedgerEntry(number=0, previous=None, what="plan", policy=made.policy, of=made.digest)
            opened.append(known.followed_by(entry).to_bytes())


def read_plan(path: Path | str) -> Plan:
    """Return a plan.

    Raises:
        InputError: it cannot be read.
        IntegrityError: it is no plan.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return Plan.from_bytes(data.rstrip(b"\n"), where=path.name)


def calibrate(
    bundles: Sequence[Path | str],
    *,
    policy: Policy | Path | str,
    data: Path | str,
    engine: str = "serial",
    progress: Progress = silent,
) -> RetrainNoise:
    """Say how far retrains of one recipe differ, rule by rule: a margin below that stops good models.

    Args:
        bundles: at least five, of one recipe and other seeds or other halves of its data.
        policy: whose rules have margins.
        data: eyeball rows; the blackbox is not for this.
        engine: where the rows are counted.
        progress: told what is being done.

    Raises:
        InputError: too few bundles, or they do not fit policy and rows.
        IntegrityError: a bundle is not what it should be.
    """
    given = policy if isinstance(policy, Policy) else read_policy(Path(policy))
    rules = _without_budget(given)
    if len(bundles) < LEAST_RETRAINS:
        raise InputError(
            f"{len(bundles)} bundles of a recipe tell little of its noise",
            where="bundles",
            hint=f"train at least {LEAST_RETRAINS} with other seeds",
        )
    with ExitStack() as stack:
        opened = [inspect(stack.enter_context(Archive.open(Path(path)))) for path in bundles]
        sessions = [bundle.session(threads=THREADS) for bundle in opened]
        pairs, found = list(combinations(range(len(opened)), 2)), list[Pair]()
        for number, (one, other) in enumerate(pairs):
            first = Scorer("challenger", opened[one], sessions[one])
            second = Scorer("champion", opened[other], sessions[other])
            measured = measure([first, second], data=Path(data), policy=rules, engine=engine)
            found.append((measured.state, measured.axes))
            progress("comparing retrains", (number + 1) / len(pairs))
        refs = tuple(bundle.ref for bundle in opened)
    if len({ref.digest for ref in refs}) < len(refs):
        raise InputError("one bundle was given twice", where="bundles", hint="give retrains, each its own file")
    return RetrainNoise(
        policy=given.digest, data=measured.data, bundles=refs, pairs=len(pairs), lines=noise_of(rules, found)
    )
