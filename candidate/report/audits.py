"""What an audit established, and what was overridden, as text for a terminal."""

from candidate.documents.audited import Audit
from candidate.documents.exploratory import Exploratory
from candidate.documents.override import Override
from candidate.documents.selftest import SelfTest
from candidate.report.words import named, printable


def audit_text(result: Audit) -> str:
    """Return what an audit established at each level, and what it did not."""
    judged = any(level.level > 0 for level in result.levels)
    says = "follows from its evidence" if judged else "is whole; whether it follows was not looked at"
    lines = [f"the decision ({result.outcome}) {says}"]
    for level in result.levels:
        lines.append(f"  L{level.level} {level.name}")
        lines += [f"    established     {claim}" for claim in level.establishes]
        lines += [f"    not established {claim}" for claim in level.does_not]
        lines += [f"    note            {note}" for note in level.notes]
    return printable("\n".join(lines))


def override_text(override: Override, path: str) -> str:
    """Return what an override lets pass, and how it is used."""
    lines = [
        f"wrote {path}",
        f"  lets {named(override.challenger)} be promoted to {override.channel} until {override.expires}",
        "  although a go lacks:",
        *(f"    {rule}" for rule in override.rules),
        f"  because: {override.reason}",
        f"  use it: candidate promote BUNDLE --decision DECISION --override {path} ...",
    ]
    return printable("\n".join(lines))


def exploratory_text(result: Exploratory) -> str:
    """Return what another policy would have said, and that it is not a decision."""
    lines = [
        f"WOULD BE {result.would_be.upper()} (exploratory): the decision says {result.was}, and stands",
        "  written after the rows were seen: it is signed by nobody, and nothing is promoted by it",
        *(f"  not measured: {each}" for each in result.not_measured),
        *(
            f"  {found.status:<5} {found.rule}{f' [{found.slice}]' if found.slice else ''}: {found.why}"
            for found in result.findings
        ),
    ]
    return printable("\n".join(lines))


def selftest_text(result: SelfTest) -> str:
    """Return what was planted and caught, and what was not tried."""
    missed = [trial.name for trial in result.trials if not trial.held]
    verdict = "every promise was kept" if not missed else f"NOT KEPT: {', '.join(missed)}"
    who = "" if result.bundle is None else f" scored by {named(result.bundle)}"
    lines = [f"self-test on {result.rows:,} {result.source}{who}, seed {result.seed}: {verdict}"]
    for trial in result.trials:
        bounds = f"{100 * trial.lower:.1f} to {100 * trial.upper:.1f} %"
        mark = "kept" if trial.held else "NOT KEPT"
        lines.append(f"  {trial.name:<17} {trial.caught:>4} of {trial.runs} ({bounds})  {trial.promise}: {mark}")
    lines += [f"  not tested: {each}" for each in result.not_tested]
    return printable("\n".join(lines))
