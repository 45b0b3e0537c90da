"""docs/baselines.md tells the truth: its rules are beaten or not, its command runs, its keys are a policy's."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd

import candidate
from candidate.canonical import digest_of
from tests.cli.conftest import FIRST, POLICY, Project

PAGE = (Path(candidate.__file__).parent.parent / "docs" / "baselines.md").read_text()


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_baselines_are_held(project: Project, tmp_path: Path) -> None:
    """The page's rules, and both ways to speak of people, in a first release."""
    (rules,), (heuristic, column, figure) = blocks("toml rules.toml"), blocks("toml policy.toml")
    (tmp_path / "rules.toml").write_text(rules)
    rows = pd.read_parquet(project.root / "blackbox.parquet")
    rows["reviewer"] = np.where(np.arange(len(rows)) % 4 == 0, 1 - rows["late"], rows["late"])
    rows.to_parquet(tmp_path / "blackbox.parquet", index=False)
    heuristic = heuristic.replace("sha256:DIGEST", digest_of(rules.encode()))
    for human, metric in ((column, "error_rate"), (figure, "error_rate")):
        policy = tmp_path / "policy.toml"
        policy.write_text(POLICY.format(**FIRST) + heuristic + human)
        found = candidate.compare(
            project.bundle("2.0.0"), champion="none", policy=policy, data=tmp_path / "blackbox.parquet"
        )
        by_rule = {each.rule: each for each in found.decision.findings}
        assert by_rule["baselines.heuristic"].status == "pass"
        assert "over the heuristic" in by_rule["optimizing"].why
        assert (by_rule["baselines.human"].metric, by_rule["baselines.human"].blocks) == (metric, False)


def test_the_command_runs(project: Project) -> None:
    """It leaves by 0, and the bundle it writes verifies."""
    (command,) = blocks("sh")
    assert project.run(*shlex.split(command)[1:]) == 0
    assert project.run("verify", "bundles/small-2.0.0-platt.candidate", "--trust", "trust.toml") == 0


def test_a_mistake_is_told(project: Project, tmp_path: Path) -> None:
    """Rows of the training, with exit code 2 and no bundle."""
    code = project.run(
        "recalibrate", project.bundle("2.0.0"), "--data", "train.parquet", "--out", tmp_path / "out", "--json"
    )

    assert code == 2
    assert not (tmp_path / "out").exists()
