"""docs/skew.md tells the truth: its commands run, and leave by what the page says."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

import candidate
from candidate.cli.app import run
from tests.flows.test_skewing import made, people

PAGE = (Path(candidate.__file__).parent.parent / "docs" / "skew.md").read_text()
__all__ = ["made"]


def test_the_commands_run_and_find_nothing(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each leaves by 0; a log of other people leaves by 3, a handful of rows by 4."""
    for name in ("small-1.candidate", "served.jsonl", "day.parquet", "judged.parquet"):
        shutil.copy(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        assert run(shlex.split(line)[1:]) == 0, (line, capsys.readouterr())
        assert capsys.readouterr().out.startswith("NO SKEW")

    other = people(9, 3000)
    other["x"] += 1
    other.to_parquet("other.parquet", index=False)
    asked = ["skew", "small-1.candidate", "--logged", "other.parquet", "--reference", "judged.parquet", "--json"]
    assert run(asked) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["outcome"]) == ("candidate.skew", "fail")
    assert said["shifts"][0]["column"] in {"x", "score"}
    Path("few.jsonl").write_text("".join(Path("served.jsonl").read_text().splitlines(keepends=True)[:5]))
    assert run(["skew", "small-1.candidate", "--logged", "few.jsonl", "--quiet"]) == 4
    assert capsys.readouterr().out == ""
