"""docs/diagnose.md tells the truth: its commands run in their order."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import candidate
from candidate.cli.app import run
from tests.flows.test_diagnosing import made

PAGE = (Path(candidate.__file__).parent.parent / "docs" / "diagnose.md").read_text()
__all__ = ["made"]


def test_the_commands_run_in_their_order(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second counts the causes in the sheet of the first; nobody has filled it in."""
    for name in ("fair-1.candidate", "eyeball.parquet", "train.parquet"):
        shutil.copy(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        assert run(shlex.split(line)[1:]) == 0, (line, capsys.readouterr())
    assert "0 errors have a cause" in capsys.readouterr().out
