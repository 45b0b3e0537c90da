"""docs/audit.md tells the truth: its commands run, in their order, and leave by what it says."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import candidate
from candidate.flows.selftesting import rows
from tests.cli.conftest import Project

PAGE = (Path(candidate.__file__).parent.parent / "docs" / "audit.md").read_text()
ROLES = ("builder", "approver", "promoter", "oncall")
HERE = ("--registry", "registry", "--channel", "small/prod")


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[list[str], int]]:
    """Every command of the page, and what it leaves by."""
    found = []
    for line in "".join(blocks("sh")).splitlines():
        words = shlex.split(re.sub(r"  # leaves by \d$", "", line))
        code = re.search(r"  # leaves by (\d)$", line)
        found.append((words[1:], 0 if code is None else int(code[1])))
    return found


@pytest.fixture
def reader(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project like the reader's: keys, an overrider among them, a first release, and the page's policy."""
    for name in ("bundles", "keys"):
        shutil.copytree(project.root / name, tmp_path / name)
    for name in ("blackbox.parquet", "few.parquet", "first.toml"):
        shutil.copy(project.root / name, tmp_path)
    (told,) = blocks("toml")
    policy = (project.root / "policy.toml").read_text()
    (tmp_path / "policy.toml").write_text(policy + told)
    (tmp_path / "softer.toml").write_text(policy.replace("min_gain = 0.12", "min_gain = 0.01"))
    assert "min_gain = 0.12" in policy
    monkeypatch.chdir(tmp_path)
    assert project.run("key", "new", "keys/manager.pem") == 0
    keys = [part for role in ROLES for part in (f"--{role}", f"keys/{role}.pub.pem")]
    assert project.run("trust", "trust.toml", *keys, "--overrider", "keys/manager.pub.pem") == 0
    assert project.run("registry", "new", "registry", "--trust", "trust.toml") == 0
    first = ("bundles/small-1.0.0.candidate", "--champion", "none", *HERE, "--policy", "first.toml", "--name", "first")
    assert project.run("compare", *first, "--data", "blackbox.parquet", "--out", ".", "--key", "keys/approver.pem") == 0
    move = ("bundles/small-1.0.0.candidate", "--decision", "first.json", *HERE, "--key", "keys/promoter.pem")
    assert project.run("promote", *move) == 0
    return tmp_path


def test_the_commands_run_in_their_order(project: Project, reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the comparison to the self-test; what people read on the way says what the page says."""
    told = {}
    for words, code in commands():
        capsys.readouterr()
        assert (words, project.run(*words)) == (words, code)
        told[" ".join(words)] = capsys.readouterr().out
    said = "".join(told.values())

    assert len(told) == 14
    assert all(f"  L{level} " in said for level in range(4))
    assert "WOULD BE GO (exploratory)" in said
    assert "overridden by" in said
    assert "BY OVERRIDE" in told["history --registry registry"]
    assert said.count("every promise was kept") == 2
    assert b'"dsseEnvelope"' in (reader / "selftest.json").read_bytes()


def test_an_override_is_not_made_where_it_would_not_hold(project: Project, reader: Path) -> None:
    """No reason, too long, a go, no key, nobody's decision; and one that is given where it has no business."""
    assert (reader / "first.json").is_file()
    given = ("--reason", "so", "--key", "keys/manager.pem")
    small = ("bundles/small-2.0.0.candidate", "--champion", "registry#small/prod", "--data", "few.parquet")
    signed = ("--key", "keys/approver.pem")
    assert project.run("compare", *small, "--policy", "policy.toml", "--out", "a", *signed) == 4
    assert project.run("compare", *small, "--policy", "softer.toml", "--out", "silent", *signed) == 4
    assert project.run("compare", *small, "--policy", "policy.toml", "--out", "unsigned") == 4
    tries = {
        ("first.json", "--days", "1", *given): 2,  # a go
        ("a/decision.json", "--days", "15", *given): 2,
        ("a/decision.json", "--days", "0", *given): 2,
        ("a/decision.json", "--days", "1", "--reason", "  ", "--key", "keys/manager.pem"): 2,
        ("a/decision.json", "--days", "1", "--reason", "so"): 2,
        ("silent/decision.json", "--days", "1", *given): 7,
        ("unsigned/decision.json", "--days", "1", *given): 2,
    }

    assert {words: project.run("override", *words) for words in tries} == tries
    assert not (reader / "a" / "decision.override.jsonl").exists()
    assert project.run("override", "a/decision.json", "--days", "1", *given) == 0
    file = ("--override", "a/decision.override.jsonl")
    assert project.run("audit", "a/decision.json", "--policy", "softer.toml", *file) == 2
    assert project.run("verify", "bundles/small-2.0.0.candidate", "--trust", "trust.toml", *file) == 2


RICH = """
[data]
label = "late"
unit = "user"
[[metrics]]
name = "missed"
formula = "income[fn] / n"
direction = "min"
definition = "income of those who were late and not told"
[optimizing]
metric = "roc_auc"
require = "non_inferior"
margin = 0.02
[[satisficing]]
metric = "custom.missed"
max = 100.0
[[slices.guard]]
by = "city"
margin = 0.1
metric = "roc_auc"
[[slices.watch]]
where = "age > 0"
margin = 0.05
metric = "log_loss"
[calibration]
max = 0.15
by = "city"
[bench]
rounds = 30
calls = 10
"""


def test_faults_are_planted_under_any_policy(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Histograms, calibration of slices, a metric that sums a column; and of many rows some units are drawn."""
    monkeypatch.setattr(rows, "MOST_ROWS", 3000)
    found = candidate.selftest(
        data=project.root / "blackbox.parquet",
        bundle=project.bundle("2.0.0"),
        policy=candidate.Policy.from_toml(RICH, where="policy"),
        runs=1,
    )

    assert found.held, [trial for trial in found.trials if not trial.held]
    assert 2000 < found.rows < 4000
    assert found.units < 985
    assert found.bundle is not None
    assert found.bundle.version == "2.0.0"
