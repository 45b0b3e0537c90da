"""One of several processes that promote at the same moment."""

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from candidate.adapters.attest import load_signer
from candidate.errors import CandidateError
from candidate.flows.registry import Registry
from candidate.flows.releasing import promote


@dataclass(frozen=True)
class Start:
    """What a racer needs, as plain as a process boundary wants it."""

    registry: Path
    bundle: Path
    decision: bytes
    key: bytes
    channel: str
    now: datetime
    gate: Path
    """A folder: each racer puts a file there when it is ready, and starts once there are enough."""
    number: int
    many: int


def race(start: Start) -> str:
    """Promote as soon as everybody is ready; return what came of it."""
    registry, signer = Registry.open(start.registry), load_signer(start.key, None)
    champion = registry.state().channel(start.channel).champion
    if champion is not None:
        registry.preflight(champion)  # every library is loaded before the start
    (start.gate / str(start.number)).touch()
    end = time.monotonic() + 30
    while len(list(start.gate.iterdir())) < start.many:
        if time.monotonic() > end:
            return "nobody came"
        time.sleep(0.001)
    try:
        moved = promote(
            start.bundle,
            decision=start.decision,
            registry=registry,
            channel=start.channel,
            signer=signer,
            now=start.now,
        )
    except CandidateError as error:
        return type(error).__name__
    return f"{moved.to.digest} at {moved.sequence}"
