"""Flip every single bit of a small bundle, one at a time, and verify each spoiled file.

    python -m benchmarks.flips [--workers N]

Each flip goes through ``candidate.verify`` as any file would (without replay: nothing may get that
far). Prints how many were tried and by which exit code they were refused, and leaves by 1 if one
was accepted or ended in an exception outside the error tree.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from candidate.errors import CandidateError
from candidate.flows.verifying import verify

Flip = tuple[int, int]
"""Byte, and the bit in it."""
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACCEPTED = "accepted"
SHARES = 64
"""Pieces of work; more than workers, because a late byte costs more than an early one."""


def every_flip(size: int) -> Iterator[Flip]:
    """All flips of a file of this many bytes."""
    return ((place, bit) for place in range(size) for bit in range(8))


def outcomes(data: bytes, public_pem: str, flips: Iterable[Flip], folder: Path) -> Counter[str]:
    """How each of these flips ends: an exit code, ``accepted``, or the name of an exception that is not ours.

    Args:
        data: bytes of a valid bundle.
        public_pem: the key that signed it.
        flips: which bits, each alone.
        folder: where the spoiled file lives.
    """
    path = folder / "flipped.candidate"
    path.write_bytes(data)
    found: Counter[str] = Counter()
    descriptor = os.open(path, os.O_RDWR)
    try:
        for place, bit in flips:
            os.pwrite(descriptor, bytes([data[place] ^ 1 << bit]), place)
            try:
                verify(path, public_key=public_pem, now=NOW, replay=False)
                found[f"{ACCEPTED}: bit {bit} of byte {place}"] += 1
            except CandidateError as error:
                found[str(error.exit_code)] += 1
            except Exception as error:  # noqa: BLE001 - to be counted: there must be none
                found[f"{type(error).__name__}: bit {bit} of byte {place}"] += 1
            os.pwrite(descriptor, data[place : place + 1], place)
    finally:
        os.close(descriptor)
    return found


def _share(data: bytes, public_pem: str, number: int) -> Counter[str]:
    flips = (flip for flip in every_flip(len(data)) if flip[0] % SHARES == number)
    with tempfile.TemporaryDirectory(prefix="flips-") as folder:
        return outcomes(data, public_pem, flips, Path(folder))


def exhaustive(data: bytes, public_pem: str, *, workers: int) -> Counter[str]:
    """Flip every bit of a bundle, in several processes."""
    total: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for found in pool.map(partial(_share, data, public_pem), range(SHARES)):
            total += found
    return total


def main() -> int:
    """Print the table; 0 when all were refused by errors of ours."""
    from candidate.adapters.attest import load_signer, new_key
    from tests.bundles import sealed
    from tests.hostile.smallest import smallest_recipe

    parser = argparse.ArgumentParser(description="flip every bit of a small bundle, and verify each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    workers = parser.parse_args().workers
    signer = load_signer(new_key(None), None)
    data = sealed(smallest_recipe(), signer)
    start = time.perf_counter()
    found = exhaustive(data, signer.public_pem, workers=workers)
    seconds = time.perf_counter() - start
    refused = {code: count for code, count in sorted(found.items()) if code.isdigit()}
    odd = [what for what in found if not what.isdigit()]
    accepted = sum(what.startswith(ACCEPTED) for what in odd)
    print(f"bundle          {len(data)} bytes")
    print(f"flips tried     {found.total()}")
    for code, count in refused.items():
        print(f"refused by {code}    {count}")
    print(f"accepted        {accepted}")
    print(f"tracebacks      {len(odd) - accepted}")
    print(f"seconds         {seconds:.1f} with {workers} workers")
    for what in odd[:20]:
        print(what, file=sys.stderr)
    return 1 if odd or found.total() != 8 * len(data) else 0


if __name__ == "__main__":
    raise SystemExit(main())
