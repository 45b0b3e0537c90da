"""docs/holdout.md tells the truth: its commands run, in their order, and leave what the page says."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

import candidate
from candidate.cli.app import run
from tests.flows.test_holdouts import POLICY, Shop, drawn

PAGE = (Path(candidate.__file__).parent.parent / "docs" / "holdout.md").read_text()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the page's reader has it."""
    shop = Shop(tmp_path)
    (tmp_path / "retrains").mkdir()
    for bundle in shop.bundles:
        number = re.sub(r"\D", "", bundle.stem)[:1]
        shutil.move(bundle, tmp_path / "retrains" / f"small-{number}.candidate")
    drawn(7, 1500).to_parquet(tmp_path / "eyeball.parquet", index=False)
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run_in_their_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each leaves by 0: the challenger is far better, and its look is the first of three."""
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    told = {}
    for line in block.replace("\\\n", " ").splitlines():
        words = [found for word in shlex.split(line) for found in (sorted(map(str, Path().glob(word))) or [word])]
        assert run(words[1:]) == 0, (line, capsys.readouterr())
        told[words[1]] = capsys.readouterr().out

    assert "RETRAIN NOISE of 6 bundles, 15 pairs" in told["calibrate"]
    assert "PLAN for 3,000 rows" in told["plan"]
    assert "look 1 of 3 at these rows" in told["compare"]
    assert "looks     1 (1 go)" in told["show"]
    assert "unbroken ledger" in told["audit"]
    assert json.loads((here / "plan.json").read_text())["kind"] == "candidate.plan"
    assert run(["report", "decided/decision.json", "--verdict-only"]) == 0
    assert "0.0" not in capsys.readouterr().out.split("##")[0]
