"""Words that every page is made of, and the page of a verification: no document is imported for them."""

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from candidate.documents.evidence import BundleRef
    from candidate.documents.view import View


def printable(text: str) -> str:
    """Return the text without control, bidirectional or zero-width characters.

    Names come out of files; a terminal must never be steered by one.
    """
    return "".join(
        char
        if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"} or char == "\n"
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def short(digest: str) -> str:
    """Return a digest's first twelve hexadecimal digits, enough for people to tell two apart."""
    return digest.removeprefix("sha256:")[:12]


def size(count: int) -> str:
    """Return a number of bytes in the unit people would say it in."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":  # noqa: PLR2004 - bytes in a KiB
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError  # the last unit always returns


def named(bundle: "BundleRef | View | None") -> str:
    """Return ``NAME VERSION (DIGEST)``, or ``none``."""
    return "none" if bundle is None else f"{bundle.name} {bundle.version} ({short(bundle.digest)})"


def verified_text(result: Any) -> str:
    """Return what was verified: a ``Verification``, or its fields as views."""
    lines = [f"VERIFIED {named(result.bundle)}"]
    lines += [f"  {check.status:<7} {check.name}: {check.detail}" for check in result.checks]
    return printable("\n".join(lines))


def moved_text(moved: Any) -> str:
    """Return what a promotion or a rollback did, and how to undo it: a ``Moved``, or its fields as views."""
    if moved.already:
        return printable(f"{moved.channel} already serves {named(moved.to)}; nothing was written")
    verb = "promoted" if moved.action == "promote" else "rolled back"
    done = f"{verb}: {moved.channel} serves {named(moved.to)} (log entry {moved.sequence})"
    if moved.dry_run:
        done = f"everything holds; it would be {verb}: {moved.channel} to {named(moved.to)}; nothing was written"
    if moved.override is not None:
        done += f", by the override {short(moved.override)} of what was left open"
    lines = [done]
    if moved.from_ is not None:
        lines.append(f"  before it served {named(moved.from_)}")
    lines += [f"  skipped {each}" for each in moved.skipped]
    lines.append(f"  rollback target: {named(moved.rollback_target)}")
    return printable("\n".join(lines))
