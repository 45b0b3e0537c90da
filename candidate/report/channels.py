"""What a registry says, as text."""

from candidate.documents.results import ChannelStatus, History, HistoryEntry, Marked, Status
from candidate.documents.slot import SlotStatus, Started, Synced
from candidate.documents.upkeep import Collected, Copied, Damage, Fsck, Why
from candidate.report.words import named, printable, short, size


def marked_text(marked: Marked) -> str:
    """Return what was held or put under quarantine."""
    about = marked.channel if marked.bundle is None else f"{short(marked.bundle)} on {marked.channel}"
    if marked.already:
        return printable(f"{marked.action}: {about} is so already; nothing was written")
    until = "" if marked.until is None else f" until {marked.until}"
    said = "nothing was written: a dry run" if marked.dry_run else f"log entry {marked.sequence}"
    lines = [f"{marked.action}: {about}{until} ({said})"]
    if marked.action == "hold":
        lines.append("  nothing is promoted there meanwhile; a rollback stays possible")
    return printable("\n".join(lines))


def status_text(status: Status) -> str:
    """Return who is champion where, since when, and the way back."""
    lines = [f"registry {status.registry}, {status.head} log entries"]
    if not status.channels:
        lines.append("  no champion yet: compare with --champion none, then promote")
    for row in status.channels:
        lines += _channel(row)
    return printable("\n".join(lines))


def _channel(row: ChannelStatus) -> list[str]:
    lines = [f"  {row.channel}: {named(row.champion)}"]
    if row.hold is not None:
        until = "" if row.hold.until is None else f" until {row.hold.until}"
        lines.append(f"    HELD{until}: {row.hold.reason} (entry {row.hold.sequence})")
    if row.by is not None:
        lines.append(f"    since {row.since} by {row.action} (entry {row.sequence}, key {row.by[:12]}): {row.reason}")
        lines.append(f"    rollback target: {named(row.rollback_target)}")
    if row.quarantined:
        lines.append(f"    quarantined: {', '.join(short(digest) for digest in row.quarantined)}")
    return lines


def _event(row: HistoryEntry) -> str:
    if row.to is not None:
        what = f"{'none' if row.from_ is None else row.from_.version} to {row.to.version} ({short(row.to.digest)})"
    elif row.bundle is not None:
        what = short(row.bundle)
    else:
        what = "" if row.until is None else f"until {row.until}"
    by = "" if row.override is None else f"  BY OVERRIDE {short(row.override)}"
    said = f"{what}  " if what else ""
    return f"{row.sequence:>4}  {row.time}  {row.action:<10}  {row.channel}: {said}{row.reason}{by}"


def history_text(history: History) -> str:
    """Return every entry, one a line, oldest first."""
    return printable("\n".join(map(_event, history.entries)) or "nothing was ever promoted")


def why_text(found: Why) -> str:
    """Return what became of a bundle."""
    lines = [named(found.bundle) if found.bundle is not None else found.about]
    lines += [f"  {standing.role} of {standing.channel}" for standing in found.standings]
    return printable("\n".join([*lines, "", *map(_event, found.events)]))


def _damages(found: tuple[Damage, ...]) -> list[str]:
    return [f"  {each.severity}: {each.what} ({each.where})\n    hint: {each.hint}" for each in found]


def fsck_text(found: Fsck) -> str:
    """Return whether a registry is sound, and what is not."""
    verdict = "sound" if found.sound else "DAMAGED"
    lines = [
        f"registry {found.registry}: {verdict}",
        f"  log     {found.head} of {found.entries} entries hold",
        f"  blobs   {found.blobs} read ({size(found.bytes)}), {found.replayed} bundles replayed",
    ]
    return printable("\n".join([*lines, *_damages(found.findings)]))


def collected_text(done: Collected) -> str:
    """Return what was collected, or would be."""
    would = "would be " if done.dry_run else ""
    lines = [
        f"{done.live} blobs are needed, {done.young} more are too young to judge",
        f"  {would}moved to the trash: {len(done.trashed)}",
        f"  {would}put back: {len(done.restored)}",
        f"  {would}deleted: {len(done.deleted)} ({size(done.freed_bytes)})",
        f"  waiting in the trash: {done.waiting}",
    ]
    if done.dry_run:
        lines.append("nothing was changed: --apply does it")
    return printable("\n".join(lines))


def copied_text(done: Copied) -> str:
    """Return what a mirror or a repair wrote."""
    verb = "mirrored to" if done.action == "mirror" else "mended from"
    where = done.target if done.action == "mirror" else done.source
    lines = [f"{verb} {where}: {done.entries} entries and {done.blobs} blobs written; the log has {done.head}"]
    lines += [f"  set aside: {name}" for name in done.set_aside]
    return printable("\n".join([*lines, *_damages(done.left)]))


def synced_text(done: Synced) -> str:
    """Return what a host follows now."""
    what = "already serves" if done.already else "serves"
    lines = [
        f"{done.channel}: this host {what} {named(done.active)} as of log entry {done.sequence}",
        f"  in {done.path}",
    ]
    if done.on_trial:
        lines.append("  ON TRIAL: run `candidate slot mark-good` once it serves well, or it falls back")
    return printable("\n".join([*lines, f"  falls back to {named(done.fallback)}"]))


def started_text(start: Started) -> str:
    """Return what is about to be served, and whether that is what was asked for."""
    if start.fell_back:
        return printable(f"FELL BACK: the release on trial was never marked good; serving {named(start.active)}")
    if start.on_trial:
        return printable(f"serving {named(start.active)} ON TRIAL, {start.tries_left} starts left after this one")
    return printable(f"serving {named(start.active)}")


def slot_text(status: SlotStatus) -> str:
    """Return what a host serves."""
    lines = [f"{status.channel}: {named(status.active)}", f"  in {status.path}"]
    if status.on_trial:
        lines.append(f"  ON TRIAL: {status.tries_left} starts left; candidate slot mark-good ends the trial")
    lines.append(f"  falls back to {named(status.fallback)}")
    if status.failed:
        lines.append(f"  FAILED here: {', '.join(named(bundle) for bundle in status.failed)}")
    late = ", which is too long ago: it is not known whether this is still the champion" if status.stale else ""
    lines.append(f"  followed the log to entry {status.sequence} at {status.synced}{late}")
    return printable("\n".join(lines))
