"""The README tells the truth: its commands run, and every command is in it."""

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

import candidate
from candidate.cli.app import app, run

ROOT = Path(candidate.__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small project's own files, and nothing that a command made."""
    for path in project.root.iterdir():
        if path.is_file() and path.name != "trust.toml":
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run_in_the_order_they_stand(folder: Path) -> None:
    """Typed one after the other in a fresh folder, every `candidate` line of the README leaves by 0."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("candidate ")]
    codes = {line: run(shlex.split(line)[1:]) for line in lines}

    assert len(lines) > 15
    assert {line: code for line, code in codes.items() if code != 0} == {}
    assert (folder / "decisions" / "go.json").is_file()


def test_the_python_example_runs(folder: Path, project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python block does what it says, with the keys of the project."""
    shutil.copytree(project.root / "registry", folder / "registry")
    word = os.environ["CANDIDATE_KEY_PASSPHRASE"].encode()
    keys = {
        role: candidate.load_signer((project.root / "keys" / f"{role}.pem").read_bytes(), word)
        for role in ("builder", "approver")
    }
    (block,) = blocks("python")
    capsys.readouterr()
    exec(compile(block, "README.md", "exec"), dict(keys))  # noqa: S102 - our own README

    assert capsys.readouterr().out.strip() in {"go", "no-go", "inconclusive"}


def test_every_command_is_in_the_readme() -> None:
    """A command that nobody can read about does not exist for its users."""
    import typer

    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group

    assert [name for name in names if f"`candidate {name}`" not in README] == []


def test_links_lead_somewhere() -> None:
    """Every relative link of the README and the documents names a file."""
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
