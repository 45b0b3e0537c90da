"""How long a registry takes: reading its log, and the whole commands that people wait for.

    python -m benchmarks.registry [ENTRIES ...]

A log of 60 promotions first, then longer ones (1,000 and 10,000 by default) made longer by holds, each command in a
process of its own, in turn with a bare typer application as the reference.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.startup import BARE
from candidate.adapters.attest import Signer, attest, load_signer, new_key
from candidate.canonical import digest_of
from candidate.documents.evidence import BundleRef
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.flows.entries import attested_entry, entry_of
from candidate.flows.registry import Registry, timestamp
from candidate.flows.releasing import promote
from candidate.judgement.channel import extend
from tests.bundles import NAME, decision_statement, go_decision, tiny_recipe
from tests.releasing.conftest import CHANNEL, sealed

RUNS = 11
PROMOTIONS = 60


def made(folder: Path) -> tuple[Registry, dict[str, Signer]]:
    """Promote six small bundles in turn, sixty times."""
    signers = {}
    for role in ("builder", "approver", "promoter", "oncall"):
        pem = new_key(None)
        (folder / f"{role}.pem").write_bytes(pem)
        signers[role] = load_signer(pem, None)
    trust = TrustPolicy(roles={role: RoleKeys(keys=(signer.public_pem,)) for role, signer in signers.items()})  # type: ignore[misc]  # roles
    now = datetime.now(UTC)
    registry = Registry.create(folder / "registry", trust=trust, now=now)
    bundles = []
    for number in range(6):
        recipe, version = tiny_recipe().copy(), f"{number + 1}.0.0"
        recipe.descriptor = recipe.descriptor.model_copy(update={"version": version})
        path = folder / f"{version}.candidate"
        path.write_bytes(sealed(recipe, version, signers["builder"]))
        bundles.append((path, BundleRef(name=NAME, version=version, digest=digest_of(recipe.content().manifest))))
    champion = None
    for number in range(PROMOTIONS):
        path, ref = bundles[number % 6]
        said = {
            "registry": registry.genesis.registry,
            "issued": timestamp(now - timedelta(seconds=number)),
            "expires": timestamp(now + timedelta(hours=20)),
        }
        go = go_decision(ref, champion=champion, channel=CHANNEL).model_copy(update=said)
        signed = attest(decision_statement(go), signers["approver"]).to_bytes()
        promote(path, decision=signed, registry=registry, channel=CHANNEL, signer=signers["promoter"], now=now)
        champion = ref
    return registry, signers


def lengthen(registry: Registry, signer: Signer, entries: int) -> None:
    """Append holds and their ends of another channel, without waiting for the disk."""
    state = registry.state(decisions=False)
    while state.head < entries:
        held = state.channel("other/prod").hold is not None
        entry = entry_of(
            registry=state.registry,
            sequence=state.head + 1,
            previous=state.head_digest,
            time=timestamp(datetime.now(UTC)),
            action="unhold" if held else "hold",
            marks=({"channel": "other/prod", "bundle": None, "until": None},),
            reason="so",
            idempotency=f"{state.head}",
        )
        data = attested_entry(entry, signer)
        registry.store.entry_path(entry.sequence).write_bytes(data)
        state = extend(state, entry, digest_of(data))


def milliseconds(call: Callable[[], object], runs: int = RUNS) -> float:
    """Median of some runs."""
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found)


def main() -> None:
    """Print the table."""
    lengths = [int(argument) for argument in sys.argv[1:]] or [1000, 10_000]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry, signers = made(folder)
        here = ["--registry", str(registry.path)]
        command = [sys.executable, "-m", "candidate"]
        back = [*command, "rollback", *here, "--channel", CHANNEL, "--reason", "x", "--key", str(folder / "oncall.pem")]
        commands = {
            "a bare typer application": [sys.executable, "-c", BARE],
            "rollback --dry-run": [*back, "--dry-run"],
            "rollback --dry-run --replay": [*back, "--dry-run", "--replay"],
            "status": [*command, "status", *here],
        }
        for entries in (PROMOTIONS, *lengths):
            lengthen(registry, signers["oncall"], entries)
            runs = RUNS if entries <= 1000 else 3  # noqa: PLR2004 - long enough to wait for
            print(f"{entries:,} entries", flush=True)
            for what, decisions in (("log read, entries checked", False), ("and every decision", True)):
                took = milliseconds(lambda checked=decisions: registry.state(decisions=checked), runs)  # type: ignore[misc]  # bound
                print(f"  {what:<28} {took:8.1f} ms, {1000 * took / entries:.0f} us an entry", flush=True)
            for what, words in commands.items():
                took = milliseconds(lambda run=words: subprocess.run(run, check=True, capture_output=True), runs)  # type: ignore[misc]  # noqa: S603
                print(f"  {what:<28} {took:8.1f} ms", flush=True)
        start = time.perf_counter()
        subprocess.run(back, check=True, capture_output=True)  # noqa: S603 - our own command
        print(f"rollback, made, at {lengths[-1]:,} entries: {1000 * (time.perf_counter() - start):.0f} ms")


if __name__ == "__main__":
    main()
