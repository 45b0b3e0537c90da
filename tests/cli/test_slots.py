"""The commands of a deploy host, as they are typed and as a unit file runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Project

COMMAND = [sys.executable, "-m", "candidate"]


def test_a_host_from_sync_to_mark_good(
    project: Project, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Follow, start, serve, mark good, look; each also as JSON, and late is exit code 7."""
    home, here = str(tmp_path / "srv"), ("--registry", str(folder), "--channel", "small/prod")
    capsys.readouterr()
    assert project.run("slot", "sync", home, *here) == 0
    assert "ON TRIAL" in capsys.readouterr().out
    assert project.run("slot", "open", home) == 0
    opened = capsys.readouterr()
    assert (Path(opened.out.strip()) / "files" / "model" / "model.onnx").is_file(), "stdout is the path, for a shell"
    assert "ON TRIAL, 2 starts left" in opened.err
    assert project.run("slot", "mark-good", home, "--probe", f"{sys.executable} -c 'raise SystemExit(1)'") == 7
    assert project.run("slot", "mark-good", home, "--json") == 0
    assert json.loads(capsys.readouterr().out)["on_trial"] is False
    assert project.run("slot", "sync", home, *here, "--json") == 0
    assert json.loads(capsys.readouterr().out)["already"] is True
    assert project.run("slot", "status", home) == 0
    assert "small/prod: small 1.0.0" in capsys.readouterr().out
    assert project.run("slot", "status", home, "--max-age-hours", "0") in {0, 7}
    assert project.run("slot", "status", str(tmp_path / "none")) == 2


def test_exec_becomes_the_server_and_keeps_its_release(project: Project, folder: Path, tmp_path: Path) -> None:
    """The server finds the release in its environment and holds it open: nobody tidies away what is served."""
    home = tmp_path / "srv"
    assert project.run("slot", "sync", str(home), "--registry", str(folder), "--channel", "small/prod") == 0
    server = (
        "import os; from pathlib import Path; from candidate.adapters.stores.slot import SlotFolder;"
        "release = Path(os.environ['CANDIDATE_RELEASE']);"
        f"SlotFolder(Path({str(home)!r})).tidy(());"
        "print((release / 'files' / 'candidate.json').is_file(), os.environ['CANDIDATE_BUNDLE'][:7])"
    )
    command = [*COMMAND, "slot", "exec", str(home), "--", sys.executable, "-c", server]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.split() == ["True", "sha256:"]
    assert "ON TRIAL" in done.stderr
    missing = subprocess.run(
        [*COMMAND, "slot", "exec", str(home), "--", "/no/such/server"], check=False, capture_output=True
    )
    assert missing.returncode == 2
