"""What was pushed, pulled or imported, as text."""

from candidate.documents.results import Imported, Pulled, Pushed
from candidate.report.words import named, printable, size

UNATTESTED = "WARNING: no release attestation: verification will refuse this bundle until its builder signs it"


def pushed_text(result: Pushed) -> str:
    """Return what was pushed."""
    listed = {"api": "listed by the registry", "tag": "listed under a tag of their own", "none": UNATTESTED}
    return printable(
        "\n".join(
            [
                f"pushed {named(result.bundle)}",
                f"  to           {result.reference}",
                f"  blobs        {result.sent} sent, {result.already} there already",
                f"  attestations {result.attestations}: {listed[result.referrers]}",
            ]
        )
    )


def pulled_text(result: Pulled) -> str:
    """Return what was pulled."""
    lines = [
        f"pulled {named(result.bundle)} to {result.path} ({size(result.size_bytes)})",
        f"  from         {result.reference}",
        *_attested(result),
        f"  verified     {'yes' if result.verified else 'no: give --trust or --public-key, or run candidate verify'}",
    ]
    return printable("\n".join(lines))


def imported_text(result: Imported) -> str:
    """Return what was imported, and what did not survive the way."""
    lines = [
        f"imported {named(result.bundle)} to {result.path} ({size(result.size_bytes)})",
        f"  identity     {result.bundle.digest}",
        *_attested(result),
    ]
    return printable("\n".join(lines))


def _attested(result: Pulled | Imported) -> list[str]:
    others = f" ({result.ignored} of others left out)" if result.ignored else ""
    lines = [f"  attestations {result.attestations}{others}"]
    return lines if result.released else [*lines, f"  {UNATTESTED}"]
