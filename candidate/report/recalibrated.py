"""What a recalibration did, as text."""

from candidate.documents.recalibrated import Recalibrated
from candidate.report.words import named, printable, size


def recalibrated_text(result: Recalibrated) -> str:
    """Return the new bundle, the map, and what became of its answers."""
    did = result.calibration
    shape = (
        f"sigmoid of {did.slope:.4g} times the log odds {did.offset:+.4g}"
        if did.slope is not None and did.offset is not None
        else f"{did.knots} knots"
    )
    kept = "mapped, so that answers stay" if did.keeps == "answers" else "kept as a number"
    lines = [
        f"recalibrated {named(did.parent)} as {named(result.bundle)}",
        f"  file       {result.path}, {size(result.size_bytes)}",
        f"  map        {did.method}, {shape}, fitted on {did.rows:,} rows ({did.positives:,} positive)",
        f"  in graph   at most {did.max_difference:.2g} off scikit-learn's on these rows",
        f"  threshold  {did.threshold_before:g} became {did.threshold:g} ({kept})",
        f"  answers    {did.answers_changed:,} of {did.rows:,} changed",
        f"  log loss   {did.log_loss_before:.4f} became {did.log_loss_after:.4f} on these rows: hold it on others",
        f"  attested   {'yes' if result.attested else 'no: give --key'}",
    ]
    return printable("\n".join(lines))
