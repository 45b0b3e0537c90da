"""The commands that people and deploy steps wait for, before anything is imported that they do not need.

``candidate verify`` runs before every start of a server, ``candidate rollback`` when one burns. Their
plain forms are parsed here, without typer; whatever else is written, help and mistakes included, goes
to the application.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candidate.cli import output


def verify(
    bundle: Path,
    *,
    trust: Path | None = None,
    public_key: Path | None = None,
    decision: Path | None = None,
    override: Path | None = None,
    replay: bool = True,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Verify a bundle and say what was established."""
    from candidate.flows.verifying import verified
    from candidate.report.words import verified_text

    result = verified(
        bundle,
        trust=None if public_key else output.trust(trust, needed=True),
        public_key=output.read_bytes(public_key).decode("ascii", "replace") if public_key else None,
        decision=output.read_bytes(decision) if decision else None,
        override=output.read_bytes(override) if override else None,
        replay=replay,
        now=output.now(),
    )
    output.emit_fields(result.json(), verified_text(result), as_json=as_json, quiet=quiet)
    return 0


def rollback(
    *,
    registry: Path,
    channel: str,
    reason: str,
    to: str | None = None,
    steps: int = 1,
    key: Path | None = None,
    replay: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Roll a channel back and say where to."""
    from candidate.flows.registry import Registry
    from candidate.flows.returning import rolled_back
    from candidate.report.words import moved_text

    result = rolled_back(
        registry=Registry.open(registry),
        channel=channel,
        signer=output.needed_signer(key),
        reason=reason,
        to=to,
        steps=steps,
        replay=replay,
        now=output.now(),
        dry_run=dry_run,
    )
    output.emit_fields(result.json(), moved_text(result), as_json=as_json, quiet=quiet)
    return 0


@dataclass(frozen=True)
class _Plain:
    """A command as it is written plainly."""

    run: Callable[..., int]
    positional: str | None
    values: Mapping[str, tuple[str, Callable[[str], object]]]
    """Options that take a value: the parameter, and what makes its value of the text."""
    flags: Mapping[str, tuple[str, bool]]
    needed: frozenset[str]


_COMMON = {"--json": ("as_json", True), "--quiet": ("quiet", True)}
_COMMANDS = {
    "verify": _Plain(
        verify,
        "bundle",
        {
            "--trust": ("trust", Path),
            "--public-key": ("public_key", Path),
            "--decision": ("decision", Path),
            "--override": ("override", Path),
        },
        {**_COMMON, "--replay": ("replay", True), "--no-replay": ("replay", False)},
        frozenset({"bundle"}),
    ),
    "rollback": _Plain(
        rollback,
        None,
        {
            "--registry": ("registry", Path),
            "--channel": ("channel", str),
            "--reason": ("reason", str),
            "--to": ("to", str),
            "--steps": ("steps", int),
            "--key": ("key", Path),
        },
        {**_COMMON, "--replay": ("replay", True), "--dry-run": ("dry_run", True)},
        frozenset({"registry", "channel", "reason"}),
    ),
}


def parse(arguments: Sequence[str]) -> tuple[_Plain, dict[str, Any]] | None:
    """Return the command and its parameters if they are written plainly, or None for the application to look at."""
    command = _COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        return None
    found: dict[str, Any] = {}
    rest = list(arguments[1:])
    while rest:
        option = _option(command, rest)
        if option is None or option[0] in found:
            return None
        found[option[0]] = option[1]
    return (command, found) if command.needed <= found.keys() else None


def _option(command: _Plain, rest: list[str]) -> tuple[str, object] | None:
    """Take what comes next and return the parameter and its value, or None if it is not written plainly."""
    word = rest.pop(0)
    name, equals, value = word.partition("=")
    if word in command.flags:
        return command.flags[word]
    if name in command.values and (equals or rest):
        text = value if equals else rest.pop(0)
        key, made = command.values[name]
        plain = text and not text.startswith("-") and (made is not int or (text.isascii() and text.isdecimal()))
        return (key, made(text)) if plain else None
    if command.positional is not None and word and not word.startswith("-"):
        return command.positional, Path(word)
    return None


def answer(arguments: Sequence[str]) -> int | None:
    """Run a command that is written plainly and return its exit code, or None if it is something else."""
    plain = parse(arguments)
    if plain is None:
        return None
    command, said = plain
    return output.run(lambda: command.run(**said), as_json=bool(said.get("as_json")))
