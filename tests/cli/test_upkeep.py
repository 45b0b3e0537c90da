"""The commands that look after a registry, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Project

Call = Callable[..., int]


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The JSON document that the last command printed."""
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_hold_and_unhold(project: Project, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hold is seen in status, and ends."""
    here = ("--registry", str(folder), "--channel", "small/prod", "--key", "keys/oncall.pem")
    capsys.readouterr()
    assert project.run("hold", *here, "--reason", "weekend", "--until", "2099-01-01T00:00:00Z") == 0
    assert "hold: small/prod until 2099-01-01T00:00:00Z (log entry 2)" in capsys.readouterr().out
    assert project.run("status", "--registry", str(folder)) == 0
    assert "HELD until 2099-01-01T00:00:00Z: weekend (entry 2)" in capsys.readouterr().out
    assert project.run("hold", *here, "--reason", "weekend", "--until", "soon") == 2
    assert "'soon' is no time" in capsys.readouterr().err
    assert project.run("unhold", *here, "--reason", "monday", "--dry-run", "--json") == 0
    assert (found := said(capsys))["dry_run"] is True, found
    assert project.run("unhold", *here, "--reason", "monday") == 0
    assert project.run("unhold", *here, "--reason", "monday") == 0
    assert "is so already" in capsys.readouterr().out


def test_quarantine_and_why(project: Project, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A digest is barred by on-call, let on again by the promoter; why and history tell."""
    here = ("--registry", str(folder), "--channel", "small/prod", "--reason", "leaks")
    digest = "e" * 64
    capsys.readouterr()
    assert project.run("quarantine", digest, *here, "--key", "keys/oncall.pem") == 0
    assert project.run("quarantine", digest, *here, "--release", "--key", "keys/oncall.pem") == 7
    assert project.run("quarantine", digest, *here, "--release", "--key", "keys/promoter.pem") == 0
    assert project.run("quarantine", "1.0.0", *here, "--key", "keys/oncall.pem") == 7
    capsys.readouterr()
    assert project.run("why", digest, "--registry", str(folder)) == 0
    assert "quarantine" in (told := capsys.readouterr().out), told
    assert "release" in told
    assert project.run("why", "1.0.0", "--registry", str(folder), "--json") == 0
    assert said(capsys)["kind"] == "candidate.why"
    assert project.run("history", "--registry", str(folder)) == 0
    assert "eeeeeeeeeeee  leaks" in capsys.readouterr().out


def test_fsck_mirror_repair_gc(
    project: Project, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sound; copied; broken and said so with exit code 6; mended; collected."""
    here = ("--registry", str(folder))
    capsys.readouterr()
    assert project.run("fsck", *here, "--depth", "all") == 0
    assert "sound" in capsys.readouterr().out
    copy = tmp_path / "copy"
    assert project.run("registry", "mirror", str(copy), *here) == 0
    entry = folder / "log" / f"{1:016d}"
    entry.chmod(0o644)
    entry.write_bytes(entry.read_bytes()[:-1])
    capsys.readouterr()
    assert project.run("fsck", *here, "--json") == 6
    assert [each["where"] for each in said(capsys)["findings"]] == ["log entry 1"]  # type: ignore[attr-defined]  # JSON
    assert project.run("gc", *here, "--apply") == 6
    assert project.run("registry", "repair", *here, "--from", str(copy)) == 0
    assert "set aside: quarantine/" in capsys.readouterr().out
    assert project.run("gc", *here) == 0
    assert "nothing was changed: --apply does it" in capsys.readouterr().out
    (copy / "log" / f"{1:016d}").unlink()
    entry.chmod(0o644)
    entry.write_bytes(b"{}")
    assert project.run("registry", "repair", *here, "--from", str(copy)) == 6
