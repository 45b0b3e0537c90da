"""The command that deploy steps wait for, before anything is imported that it does not need.

``candidate verify`` runs before every start of a server. Its plain forms are parsed here, without
typer; whatever else is written, help and mistakes included, goes to the application.
"""

from collections.abc import Sequence
from pathlib import Path

from candidate.cli import output

_VALUES = {"--trust": "trust", "--public-key": "public_key", "--decision": "decision", "--override": "override"}
_FLAGS = {
    "--json": ("as_json", True),
    "--quiet": ("quiet", True),
    "--replay": ("replay", True),
    "--no-replay": ("replay", False),
}


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


def parse(arguments: Sequence[str]) -> tuple[str, dict[str, str | bool]] | None:
    """Return the bundle and the options of a plain ``verify``, or None for the application to look at."""
    if not arguments or arguments[0] != "verify":
        return None
    found: dict[str, str | bool] = {}
    bundles: list[str] = []
    rest = list(arguments[1:])
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word in _FLAGS:
            key, set_to = _FLAGS[word]
            said: str | bool = set_to
        elif name in _VALUES and (equals or rest):
            key, said = _VALUES[name], value if equals else rest.pop(0)
            if not said or str(said).startswith("-"):
                return None
        elif word.startswith("-") or not word:
            return None
        else:
            bundles.append(word)
            continue
        if key in found:
            return None
        found[key] = said
    return (bundles[0], found) if len(bundles) == 1 else None


def answer(arguments: Sequence[str]) -> int | None:
    """Run a plain ``verify`` and return its exit code, or None if it is something else."""
    plain = parse(arguments)
    if plain is None:
        return None
    bundle, said = plain
    paths = {name: Path(str(said[name])) for name in _VALUES.values() if name in said}
    replay, as_json, quiet = bool(said.get("replay", True)), bool(said.get("as_json")), bool(said.get("quiet"))

    def command() -> int:
        return verify(Path(bundle), **paths, replay=replay, as_json=as_json, quiet=quiet)

    return output.run(command, as_json=as_json)
