"""Refusing costs little: no claim of size, count or depth buys an attacker memory or time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.bounds import BUNDLES, results

SECONDS = 30.0
"""Of one bundle, on a machine that has other things to do; alone, the slowest takes four."""
KIBIBYTES = 700 << 10


def test_hostile_sizes_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    """Claims of tebibytes, a hundred thousand members, brackets without end: an error of ours, soon, in little space.

    In a process of its own, under a limit of address space: there, running out of memory is an
    exception or the end of the process, never a slow machine.
    """
    command = [sys.executable, "-m", "tests.hostile.bounds", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=SECONDS * len(BUNDLES), check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]

    assert [result["name"] for result in found] == list(BUNDLES)
    for result in found:
        assert result["code"] in {6, 7}, result
        assert result["seconds"] < SECONDS, result
        assert result["peak"] < KIBIBYTES, result
    assert list(tmp_path.iterdir()) == []


def test_the_measure_itself_sees_what_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good bundle would be told by its code."""
    monkeypatch.setattr("tests.hostile.bounds.BUNDLES", {"good": lambda kit, path: path.write_bytes(kit.data)})

    assert [result["code"] for result in results(tmp_path)] == [0]
