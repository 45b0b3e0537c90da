"""Evidence that was touched, comparisons that cannot be made, and what a terminal sees."""

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from candidate.canonical import canonical, digest_of
from candidate.cli import output
from candidate.documents.decision import Decision
from candidate.documents.evidence import Evidence
from candidate.flows.showing import read_decision

Answer = Callable[..., tuple[int, dict[str, Any]]]
GO = "decisions/go.json"
COMPARED = ("--champion", "registry#small/prod", "--policy", "policy.toml", "--data", "few.parquet")


@pytest.fixture
def folder(project: Any, tmp_path: Path) -> Path:
    """A copy of the evidence of the go."""
    shutil.copytree(project.root / "decisions" / "go.evidence", tmp_path / "evidence")
    return tmp_path / "evidence"


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change ``evidence.json`` and write it in its canonical form again."""
    fields = json.loads((folder / "evidence.json").read_bytes())
    change(fields)
    (folder / "evidence.json").write_bytes(canonical(fields))


def replace_array(folder: Path, name: str, array: Any, *, pickled: bool = False) -> None:
    """Put another array in the place of one, and list it as if it belonged there."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    data = buffer.getvalue()
    (folder / name).write_bytes(data)

    def listed(fields: dict[str, Any]) -> None:
        for file in fields["files"]:
            if file["name"] == name:
                file.update(digest=digest_of(data), size=len(data))

    rewrite(folder, listed)


def test_evidence_about_something_else_is_refused(answer: Answer, folder: Path) -> None:
    """Evidence with another challenger is not the evidence that was decided on."""
    rewrite(folder, lambda fields: fields["challenger"]["bundle"].update(version="9.9.9"))
    code, found = answer("audit", GO, "--evidence", folder)

    assert code == 6
    assert "the decision cites" in found["message"]


@pytest.mark.parametrize("name", ["state.npy", "calibration.npy", "latency.npy"])
def test_an_array_of_another_shape_or_kind_is_refused(answer: Answer, folder: Path, name: str) -> None:
    """Wrong shape, wrong type, no array, and a pickled array that would run code if it were loaded."""
    ran: list[bool] = []

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[bool]]:
            return ran.append, (True,)

    for array, pickled in ((np.zeros((2, 2), dtype=np.int64), False), (np.zeros(3), False)):
        replace_array(folder, name, array, pickled=pickled)
        assert answer("audit", GO, "--evidence", folder)[0] == 6
    replace_array(folder, name, np.array([Evil()], dtype=object), pickled=True)
    code, found = answer("audit", GO, "--evidence", folder)

    assert (code, found["message"], ran) == (6, "not an array file", [])


def test_missing_and_foreign_files_are_refused(answer: Answer, project: Any, folder: Path, tmp_path: Path) -> None:
    """No folder, no file, and a policy that is not the one measured for."""
    policy = project.root / "decisions" / "first.evidence" / "policy.json"
    shutil.copy(policy, folder / "policy.json")
    data = policy.read_bytes()

    def listed(fields: dict[str, Any]) -> None:
        for file in fields["files"]:
            if file["name"] == "policy.json":
                file.update(digest=digest_of(data), size=len(data))

    rewrite(folder, listed)
    foreign = answer("audit", GO, "--evidence", folder)
    (folder / "policy.json").unlink()
    missing = answer("audit", GO, "--evidence", folder)

    assert (foreign[0], missing[0]) == (6, 6)
    assert "not the one it was measured for" in foreign[1]["message"]
    assert answer("audit", GO, "--evidence", tmp_path / "nowhere")[0] == 2


def test_a_decision_that_does_not_follow_is_refused(
    answer: Answer, project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unsigned copy with other findings, other data or another challenger is caught by recomputing."""
    good = read_decision(project.root / GO)
    evidence = project.root / "decisions" / "go.evidence"
    findings = tuple(finding.model_copy(update={"why": "trust me"}) for finding in good.findings)
    changes: list[dict[str, Any]] = [
        {"findings": findings},
        {"data": good.data.model_copy(update={"rows": 1})},
        {"challenger": good.challenger.model_copy(update={"version": "9"})},
    ]
    plain = tmp_path / "plain.json"
    plain.write_bytes(good.to_bytes())
    unsigned = answer("audit", plain, "--evidence", evidence, "--trust", "trust.toml")
    monkeypatch.chdir(tmp_path)  # where there is no trust.toml, nobody is asked who decided
    for number, change in enumerate(changes):
        path = tmp_path / f"{number}.json"
        path.write_bytes(good.model_copy(update=change).to_bytes())
        assert answer("audit", path, "--evidence", evidence)[0] == 6

    assert (unsigned[0], unsigned[1]["message"]) == (7, "nobody signed the decision")
    assert answer("audit", plain, "--evidence", evidence)[0] == 0
    assert Decision.from_bytes(plain.read_bytes()) == good


def test_show_says_what_everything_is(answer: Answer, project: Any, tmp_path: Path) -> None:
    """A bundle, evidence, a registry; and nothing of an empty folder or of an attestation that is no decision."""
    bundle = answer("show", project.bundle("1.0.0"))[1]
    evidence = answer("show", "decisions/go.evidence")[1]
    claim = project.root / "tree"
    if not claim.exists():
        answer("unpack", project.bundle("1.0.0"), claim)
    (tmp_path / "claim.json").write_bytes((claim / "model.sig").read_bytes())

    assert bundle["kind"] == "candidate.bundle"
    assert len(bundle["attestations"]) == 3
    assert evidence["kind"] == "candidate.evidence"
    assert Evidence.model_validate_json(json.dumps(evidence)).challenger.attested
    assert answer("show", "registry")[1]["kind"] == "candidate.status"
    assert answer("show", tmp_path)[0] == 2
    assert answer("show", tmp_path / "claim.json")[0] == 2
    assert answer("show", tmp_path / "nothing")[0] == 2


@pytest.mark.parametrize("command", [("show", GO), ("show", "registry"), ("show", "decisions/go.evidence")])
def test_every_page_of_text_can_be_read(
    project: Any, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """Without --json there are sentences, and no line of JSON."""
    capsys.readouterr()

    assert project.run(*command) == 0
    assert "{" not in capsys.readouterr().out


def test_a_champion_must_answer_the_same_question(answer: Answer, project: Any, tmp_path: Path) -> None:
    """Another label in the policy, a missing unit, other rows than pinned: told before anything is judged."""
    policy = (project.root / "policy.toml").read_text()
    for name, old, new in (
        ("label", 'label = "late"', 'label = "city"'),
        ("unit", 'unit = "user"', 'unit = "age"'),
        ("pin", 'unit = "user"', f'unit = "user"\nblackbox = "sha256:{"0" * 64}"'),
    ):
        (tmp_path / f"{name}.toml").write_text(policy.replace(old, new))
    (tmp_path / "pin.toml").write_text(
        policy.replace('unit = "user"', f'unit = "user"\nblackbox = "sha256:{"0" * 64}"')
    )
    common = ("--champion", project.bundle("1.0.0"), "--data", "blackbox.parquet")
    bundle = project.bundle("2.0.0")
    label = answer("compare", bundle, *common, "--policy", tmp_path / "label.toml")
    unit = answer("compare", bundle, *common, "--policy", tmp_path / "unit.toml")
    pinned = answer("compare", bundle, *common, "--policy", tmp_path / "pin.toml")
    half = answer("compare", bundle, *common, "--policy", "policy.toml", "--registry", "registry")

    assert "was trained on the label" in label[1]["message"]
    assert unit[1]["message"] == "a row without a unit"
    assert "the policy pins" in pinned[1]["message"]
    assert "go together" in half[1]["message"]
    assert {label[0], unit[0], pinned[0], half[0]} == {2}


def test_a_plain_bundle_can_be_champion_but_the_go_promotes_nothing(
    answer: Answer, project: Any, tmp_path: Path
) -> None:
    """A decision that names no channel is for people; promote says to compare again with the channel."""
    decided = answer(
        "compare",
        project.bundle("2.0.0"),
        *("--champion", project.bundle("1.0.0"), "--policy", "policy.toml", "--data", "blackbox.parquet"),
        *("--key", "keys/approver.pem", "--out", tmp_path),
    )
    promoted = answer(
        "promote",
        project.bundle("2.0.0"),
        *("--decision", tmp_path / "decision.json", "--registry", "registry", "--channel", "small/prod"),
        *("--key", "keys/promoter.pem"),
    )

    assert decided[0] == 0
    assert (tmp_path / "evidence" / "evidence.json").is_file()
    assert promoted[0] == 7
    assert "compare again" in promoted[1]["hint"]


def test_a_terminal_sees_colour_and_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict word is coloured and progress drawn where there is a terminal, and only there."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = output._coloured("NO-GO: no")
    with output.progress(quiet=False) as show:
        show("scoring", 0.5)
        show("scoring", 1.0)
    drawn = capsys.readouterr().err
    with output.progress(quiet=True) as show:
        show("scoring", 1.0)
    monkeypatch.setenv("NO_COLOR", "1")

    assert coloured == "\x1b[1;31mNO-GO\x1b[0m: no"
    assert output._coloured("NO-GO: no") == "NO-GO: no"
    assert "scoring" in drawn
    assert "100%" in drawn
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "BUNDLE", "few.parquet", "--out", "models.py/x.parquet"),
        ("compare", "BUNDLE", *COMPARED, "--out", "models.py/x"),
        ("compare", "BUNDLE", *COMPARED, "--out", "decisions", "--name", "../x"),
        ("unpack", "BUNDLE", "models.py/x"),
        ("build", "v1.toml", "--out", "models.py/x"),
        ("key", "new", "models.py/x.pem"),
        ("registry", "new", "models.py/x", "--trust", "trust.toml"),
        ("report", GO, "--out", "models.py/x.md"),
        ("init", "models.py/x"),
    ],
)
def test_what_cannot_be_written_is_a_usage_error(answer: Answer, project: Any, arguments: tuple[str, ...]) -> None:
    """A place that is no folder, or a name that leads out of it: exit code 2, and nothing is written anywhere."""
    before = sorted(path.name for path in project.root.rglob("*"))
    bundle = str(project.bundle("2.0.0"))
    code, found = answer(*(bundle if word == "BUNDLE" else word for word in arguments))

    assert (code, found["kind"]) == (2, "error")
    assert before == sorted(path.name for path in project.root.rglob("*"))
