"""No single flipped bit goes unseen: the share of ``benchmarks/flips.py`` that fits into the suite."""

from pathlib import Path

import pytest

from benchmarks import flips
from candidate.adapters.archive.form import BLOCK
from candidate.adapters.attest import Signer
from candidate.errors import RefusedError
from candidate.flows.verifying import verify
from tests.bundles import members_of, sealed
from tests.hostile.smallest import smallest_recipe

WRITTEN = (*range(157), *range(257, 265))
"""Bytes of a header that say something: name to type, and the magic. All others are zero."""


def structure(data: bytes) -> list[int]:
    """Places of what no digest covers: layout and index with their headers, and the first and last blob's header."""
    places: list[int] = []
    members = members_of(data)
    for number, (info, _) in enumerate((*members[:3], members[-1])):
        places += [info.offset + place for place in WRITTEN]
        if number < 2:
            places += range(info.offset_data, info.offset_data + info.size)
    return places


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_refused(builder: Signer, tmp_path: Path) -> None:
    """One bit of each byte of the file, and every bit of what is read before a digest could tell.

    ``python -m benchmarks.flips`` flips every bit of every byte; this is the same, thinned out.
    """
    data = sealed(smallest_recipe(), builder)
    path = tmp_path / "good.candidate"
    path.write_bytes(data)
    every = {(place, bit) for place in structure(data) for bit in range(8)}
    one_each = {(place, (place * 2_654_435_761 >> 16) % 8) for place in range(len(data))}
    found = flips.outcomes(data, builder.public_pem, sorted(every | one_each), tmp_path)

    assert verify(path, public_key=builder.public_pem, now=flips.NOW).replay is not None
    assert set(found) <= {"6", "7"}
    assert found.total() == len(every | one_each) > len(data) + 7 * BLOCK


def test_what_is_accepted_or_crashes_would_be_counted(
    builder: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter that could only say 6 or 7 would prove nothing."""
    data, answers = sealed(smallest_recipe(), builder), iter([None, KeyError("x"), RefusedError("x")])

    def loose(*_: object, **__: object) -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    monkeypatch.setattr(flips, "verify", loose)
    found = flips.outcomes(data, builder.public_pem, [(0, 0), (1, 1), (2, 2)], tmp_path)

    assert found == {"accepted: bit 0 of byte 0": 1, "KeyError: bit 1 of byte 1": 1, "7": 1}
    assert (tmp_path / "flipped.candidate").read_bytes() == data


@pytest.mark.slow
def test_the_exhaustive_run_shares_the_work_without_losing_any(builder: Signer) -> None:
    """Every bit is in exactly one share; here of a file of 64 bytes, which is no bundle at all."""
    assert flips.exhaustive(bytes(64), builder.public_pem, workers=2) == {"6": 512}
