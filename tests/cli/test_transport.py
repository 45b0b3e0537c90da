"""Push, pull and import by the command line: exit codes, the one document, and where credentials come from."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from candidate.adapters.attest import Signer
from candidate.cli.app import run
from tests.bundles import sealed, tiny_recipe
from tests.registries import Registry, serving


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a trust policy that happens to lie around nor somebody's docker configuration counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CANDIDATE_TRUST", raising=False)


@pytest.fixture
def bundle(builder: Signer, tmp_path: Path) -> Path:
    """A signed bundle and the key to trust, in a folder that is empty otherwise."""
    path = tmp_path / "tiny.candidate"
    path.write_bytes(sealed(tiny_recipe(), builder))
    (tmp_path / "builder.pub.pem").write_text(builder.public_pem)
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Run a command with --json; return its exit code and its document."""
    capsys.readouterr()
    code = run([*(str(argument) for argument in arguments), "--json"])
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    return code, json.loads(text)


def test_push_and_pull(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There and back: 0, with what was sent and what came; stripped on the way: 7 and no file."""
    key, target = tmp_path / "builder.pub.pem", tmp_path / "got.candidate"
    with serving(Registry(api=False)) as registry:
        pushed = answer(capsys, "push", bundle, registry.reference(""))
        pulled = answer(capsys, "pull", registry.reference(), target, "--public-key", key)
        registry.strip()
        refused = answer(capsys, "pull", registry.reference(), tmp_path / "no.candidate")
        taken = answer(capsys, "pull", registry.reference(), tmp_path / "bare.candidate", "--allow-unattested")

    assert (pushed[0], pushed[1]["kind"], pushed[1]["referrers"]) == (0, "candidate.pushed", "tag")
    assert (pulled[0], pulled[1]["kind"], pulled[1]["verified"]) == (0, "candidate.pulled", True)
    assert target.read_bytes() == bundle.read_bytes()
    assert (refused[0], refused[1]["exit_code"]) == (7, 7)
    assert not (tmp_path / "no.candidate").exists()
    assert (taken[0], taken[1]["attestations"], taken[1]["released"]) == (0, 0, False)


def test_what_was_moved_is_told_as_text(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads where it went, how many attestations came along, and a warning where none did."""
    with serving(Registry()) as registry:
        assert run(["push", str(bundle), registry.reference()]) == 0
        told = capsys.readouterr().out
        assert run(["pull", registry.reference(), str(tmp_path / "a.candidate")]) == 0
        told += capsys.readouterr().out
        registry.strip()
        assert run(["pull", registry.reference(), str(tmp_path / "b.candidate"), "--allow-unattested"]) == 0
        warned = capsys.readouterr().out
        assert run(["import", str(bundle), "--out", str(tmp_path / "out"), "--quiet"]) == 0
        assert capsys.readouterr().out == ""

    assert "listed by the registry" in told
    assert "attestations 1\n" in told
    assert "WARNING" not in told
    assert "WARNING: no release attestation" in warned


def test_credentials_come_from_the_environment(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two variables, both of them, and neither is ever printed."""
    with serving(Registry(user="me:secret-word")) as registry:
        without = answer(capsys, "push", bundle, registry.reference())
        monkeypatch.setenv("CANDIDATE_REGISTRY_USER", "me")
        half = answer(capsys, "push", bundle, registry.reference())
        monkeypatch.setenv("CANDIDATE_REGISTRY_PASSWORD", "secret-word")
        both = answer(capsys, "push", bundle, registry.reference())
        monkeypatch.setenv("CANDIDATE_REGISTRY_PASSWORD", "wrong-word")
        wrong = answer(capsys, "push", bundle, registry.reference())

    assert [without[0], half[0], both[0], wrong[0]] == [7, 7, 0, 7]
    assert "word" not in json.dumps([half[1], both[1], wrong[1]]).replace("PASSWORD", "").replace("password", "")


def test_import_and_its_mistakes(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A layout gives its bundle; what is none leaves by 2."""
    code, found = answer(capsys, "import", bundle, "--out", tmp_path / "out", "--tag", "1.0.0")
    other, told = answer(capsys, "import", bundle, "--out", tmp_path / "out", "--tag", "2.0.0")

    assert (code, found["kind"], found["attestations"]) == (0, "candidate.imported", 1)
    assert Path(found["path"]).read_bytes() == bundle.read_bytes()
    assert other == 2
    assert "1.0.0" in told["message"]
    assert answer(capsys, "import", tmp_path / "builder.pub.pem")[0] in {2, 6}
    assert answer(capsys, "push", bundle, "NOT A REFERENCE")[0] == 2
    assert answer(capsys, "pull", "127.0.0.1:9/x:1", tmp_path / "x")[0] == 9


@pytest.mark.parametrize(
    "program",
    [
        "import candidate; candidate.verify",
        "from candidate.cli.app import run; run(['verify', '--help'])",
        "from candidate.cli.app import run; run(['verify', 'tiny.candidate', '--public-key', 'builder.pub.pem'])",
        "from candidate.cli.app import run; run(['import', 'tiny.candidate', '--out', 'out'])",
    ],
    ids=["package", "help", "verify", "import"],
)
def test_only_registries_need_the_libraries_for_them(bundle: Path, program: str) -> None:
    """Verifying and importing work where oras is not installed, and start without it where it is."""
    check = (
        "import sys; print('FOUND', sorted({'oras', 'requests', 'urllib3'} & {n.split('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{check}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=bundle.parent,
    )

    assert done.stdout.endswith("FOUND []\n"), done.stdout


def test_without_the_library_the_remedy_is_told(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing extra is 9, with what to install."""
    monkeypatch.setitem(sys.modules, "oras.auth", None)
    code, found = answer(capsys, "push", bundle, "127.0.0.1:9/x:1")

    assert code == 9
    assert "candidate[oci]" in found["hint"]
