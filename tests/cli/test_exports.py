"""``export`` and ``show --against`` from the command line, and the page that tells of them."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import candidate
from candidate.cli.app import run

Answer = Callable[..., tuple[int, dict[str, Any]]]
PAGE = Path(candidate.__file__).parent.parent / "docs" / "exports.md"


@pytest.mark.parametrize("server", ["triton", "mlflow", "kserve"])
def test_export_writes_what_it_says(server: str, answer: Answer, project: Any, tmp_path: Path) -> None:
    """Verified, laid out, listed; a second time the folder is taken."""
    arguments = ("export", project.bundle("2.0.0"), tmp_path / server, "--to", server)
    code, found = answer(*arguments, "--trust", "trust.toml")

    assert code == 0
    assert (found["kind"], found["to"], found["model"]) == ("candidate.exported", server, "small")
    names = {
        path.relative_to(tmp_path / server).as_posix() for path in (tmp_path / server).rglob("*") if path.is_file()
    }
    assert {file["name"] for file in found["files"]} == names
    assert found["golden_rows"] > 0
    assert answer(*arguments, "--public-key", "keys/builder.pub.pem")[0] == 2
    assert (
        answer(
            "export", project.bundle("2.0.0"), tmp_path / "x", "--to", server, "--public-key", "keys/oncall.pub.pem"
        )[0]
        == 7
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "elsewhere"), "elsewhere"),
        ((), "--to"),
        (("--to", "triton", "--image", "registry.example/a"), "only KServe"),
    ],
)
def test_a_mistake_is_told(
    arguments: tuple[str, ...], words: str, answer: Answer, project: Any, tmp_path: Path
) -> None:
    """An unknown server, no server, an option that does not fit."""
    code, found = answer("export", project.bundle("2.0.0"), tmp_path / "out", *arguments, "--trust", "trust.toml")

    assert code == 2
    assert words in found["message"]
    assert list(tmp_path.iterdir()) == []


def test_show_against_says_whether_callers_can_move(answer: Answer, project: Any) -> None:
    """The second version takes one feature more, which callers of the first do not send."""
    new, old = project.bundle("2.0.0"), project.bundle("1.0.0")
    code, found = answer("show", new, "--against", old)
    back = answer("show", old, "--against", new)[1]
    same = answer("show", new, "--against", new, "--require", "compatible")

    assert code == 0
    assert (found["kind"], found["verdict"]) == ("candidate.compatibility", "breaking")
    assert (found["bundle"]["version"], found["against"]["version"]) == ("2.0.0", "1.0.0")
    gained = {change["what"]: change for change in found["changes"] if change["field"] == "income"}
    assert gained["properties"]["records"] == "breaking"
    assert gained["tensor"]["tensors"] == "breaking"
    assert {change["field"] for change in back["changes"]} == {change["field"] for change in found["changes"]}
    assert (same[0], same[1]["verdict"], same[1]["changes"]) == (0, "compatible", [])


@pytest.mark.parametrize("required", ["compatible", "widened"])
@pytest.mark.parametrize("callers", ["all", "records", "tensors"])
def test_what_is_required_and_not_so_leaves_by_three(
    required: str, callers: str, answer: Answer, project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is printed all the same."""
    arguments = ("show", project.bundle("2.0.0"), "--against", project.bundle("1.0.0"))
    code, found = answer(*arguments, "--require", required, "--callers", callers)

    assert (code, found["verdict"]) == (3, "breaking")
    assert project.run(*arguments, "--require", required) == 3
    assert capsys.readouterr().out.startswith("BREAKING: small 2.0.0 (")


@pytest.mark.parametrize("option", [("--require", "widened"), ("--callers", "records")])
def test_options_without_another_bundle_are_refused(option: tuple[str, str], answer: Answer, project: Any) -> None:
    """An option that would be ignored is a mistake."""
    code, found = answer("show", project.bundle("2.0.0"), *option)

    assert code == 2
    assert found["where"] == option[0]
    assert "--against" in found["message"]


def test_against_something_else_than_a_bundle_is_refused(answer: Answer, project: Any) -> None:
    """A decision has no callers."""
    assert answer("show", project.bundle("2.0.0"), "--against", "decisions/go.json")[0] in {2, 6}
    assert answer("show", project.bundle("2.0.0"), "--against", "nowhere")[0] == 2


def test_the_page_tells_the_truth(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of docs/exports.md leaves by 0, in the order that they stand."""
    for name in ("bundles", "keys", "trust.toml"):
        (tmp_path / name).symlink_to(project.root / name)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("candidate ")]
    codes = {line: run(shlex.split(line)[1:]) for line in lines}

    assert len(lines) == 6
    assert {line: code for line, code in codes.items() if code != 0} == {}
    assert (tmp_path / "exports/kserve/inferenceservice.yaml").is_file()
