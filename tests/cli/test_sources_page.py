"""docs/sources.md tells the truth: its example builds, and its commands run."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import candidate
from candidate.cli.app import run

ROOT = Path(candidate.__file__).parent.parent
PAGE = (ROOT / "docs" / "sources.md").read_text()


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_of_torch_builds_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is the one that torch made; the page's own code builds it, and its commands leave by 0."""
    shutil.copy(ROOT / "tests" / "torch" / "iris.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("python")
    exec(compile(block, "sources.md", "exec"), {})  # noqa: S102 - our own page
    lines = [line for text in blocks("sh") for line in text.splitlines()]

    assert len(lines) > 1
    assert {line: run(shlex.split(line)[1:]) for line in lines} == dict.fromkeys(lines, 0)
    assert (tmp_path / "answers.parquet").is_file()


def test_every_key_of_the_section_is_on_the_page() -> None:
    """What can be said of a model can be read about."""
    from candidate.documents.spec import ModelSection

    assert [name for name in ModelSection.model_fields if name != "float" and name not in PAGE] == []
