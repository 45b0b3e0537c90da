"""The fuzzers' targets on their seeds: what ``make fuzz`` starts from holds, and a crash would be one."""

from pathlib import Path

import pytest

from benchmarks.fuzz import TARGETS, write_seeds
from tests.hostile import harness


@pytest.mark.parametrize("target", TARGETS)
def test_no_seed_crashes_its_target(target: str, tmp_path: Path) -> None:
    """Nor an empty input, nor a byte."""
    seeds, place = tmp_path / "seeds", tmp_path / "place"
    seeds.mkdir()
    place.mkdir()
    number = write_seeds(target, seeds)
    inputs = [path.read_bytes() for path in sorted(seeds.iterdir())]

    assert len(inputs) == number >= 5
    for data in (*inputs, b"", b"\0"):
        TARGETS[target](data, place)
    assert {path.name for path in place.iterdir()} <= {"x.candidate"}


def test_a_seed_of_what_lies_behind_the_signature_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member put back as it was makes a bundle that passes, so that a mutation of it is what is refused."""
    outcomes = []
    plain = harness.try_bundle

    def noted(data: bytes, path: Path) -> object:
        outcomes.append(plain(data, path))
        return outcomes[-1]

    monkeypatch.setattr(harness, "try_bundle", noted)
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    write_seeds("sealed", seeds)
    for path in seeds.iterdir():
        TARGETS["sealed"](path.read_bytes(), tmp_path)

    assert outcomes
    assert set(outcomes) == {None}


def test_an_exception_of_another_kind_leaves_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LibFuzzer can count only what reaches it; and what is accepted without being a known bundle is a crash too."""

    def crash(_: bytes) -> bool:
        raise KeyError("x")

    monkeypatch.setattr(harness, "try_graph", crash)
    with pytest.raises(KeyError):
        TARGETS["graph"](b"", tmp_path)
    monkeypatch.setattr(harness, "try_bundle", lambda *_: None)
    with pytest.raises(AssertionError, match="accepted"):
        TARGETS["bundle"](b"anything", tmp_path)
