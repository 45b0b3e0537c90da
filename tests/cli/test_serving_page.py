"""docs/serving.md tells the truth: its example serves, and its command runs."""

import re
import shlex
from pathlib import Path

import candidate
from tests.cli.conftest import Project

PAGE = (Path(candidate.__file__).parent.parent / "docs" / "serving.md").read_text()


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_serves(project: Project) -> None:
    """The page's own code, in a project like its reader's."""
    (block,) = blocks("python")
    found = {"trust": candidate.read_trust(project.root / "trust.toml")}
    exec(compile(block, "serving.md", "exec"), found)  # noqa: S102 - our own page
    one, many = found["one"], found["many"]
    assert 0 <= one["score"] <= 1  # type: ignore[index]  # what the page made
    assert many[0] == one or abs(many[0]["score"] - one["score"]) < 1e-6  # type: ignore[index]  # the same


def test_the_command_runs(project: Project) -> None:
    """It leaves by 0, and what it says it writes is there."""
    (command,) = blocks("sh")
    assert project.run(*shlex.split(command)[1:]) == 0
    assert (project.root / "answers.parquet").is_file()
    assert '"kind":"candidate.served"' in (project.root / "served.jsonl").read_text()
