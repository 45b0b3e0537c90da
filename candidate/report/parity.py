"""What is said of a graph and the estimator that it was made from: every difference loudly, nothing of what agrees."""

from candidate.documents.manifest import ChallengeRecord, Parity

KINDS = {
    "fuzzed": "rows of values shuffled by column",
    "missing": "rows with a value missing",
    "unseen": "rows with a word never seen",
    "empty": "rows with empty text",
    "extreme": "rows with an extreme value",
    "threshold": "rows next to a tree's threshold",
    "between": "rows between the 32-bit numbers next to a tree's threshold",
    "one-row": "rows asked alone",
    "zero-row": "batches of no rows",
}


def parity_lines(parity: Parity) -> list[str]:
    """Return the real rows, then what was made to find a difference, then a line for each kind that found one."""
    bound = "" if parity.label_flips_at_most is None else f" (at most {100 * parity.label_flips_at_most:.3g} %)"
    real = f"{parity.rows:,} real rows at {parity.float_bits} bits"
    lines = [f"{real} differ by at most {parity.max_difference:.2g}, {parity.label_flips} labels flipped{bound}"]
    if parity.mismatches:
        lines.append(f"WARNING: {parity.mismatches:,} of {parity.rows:,} real rows differ by more than the tolerance")
    made = sum(each.rows for each in parity.challenges)
    off = [each for each in parity.challenges if each.mismatches or each.unguarded]
    if made:
        lines.append(f"{made:,} rows made to find a difference{'' if off else ' found none'}")
    lines += [f"WARNING: {_found(each)}" for each in off]
    for rung in parity.rungs:
        if not rung.taken:
            lines.append(f"not taken: {rung.name} bits: " + (rung.why or _why(rung.mismatches, rung.challenged)))
            if rung.step:
                lines[-1] += f", first at {rung.step}"
    return lines


def _why(real: int | None, made: int | None) -> str:
    return f"{real or 0:,} real rows and {made or 0:,} made ones differ"


def _found(record: ChallengeRecord) -> str:
    said = f"{record.mismatches:,} of {record.rows:,} {KINDS[record.kind]} differ, the largest by "
    said += f"{record.max_difference:.2g}" if record.max_difference < 1e300 else "more than any number"  # noqa: PLR2004
    if record.unguarded:
        said += f"; at {record.unguarded:,} more the pipeline raises an error where the graph answers"
    return said
