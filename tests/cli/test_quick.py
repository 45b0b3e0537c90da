"""The plain forms of ``verify`` take a short way in; it says what the application would say."""

from pathlib import Path

import pytest

from candidate.adapters.attest import Signer
from candidate.adapters.trust import write_trust
from candidate.cli import app, quick
from candidate.documents.trust import TrustPolicy
from tests.short import HEAVY, modules

PLAIN: dict[str, list[str]] = {
    "key": ["--public-key", "key.pem"],
    "key with equals": ["--public-key=key.pem"],
    "json": ["--public-key", "key.pem", "--json"],
    "quiet": ["--public-key", "key.pem", "--quiet"],
    "replay": ["--public-key", "key.pem", "--replay"],
    "trust": ["--trust", "trust.toml"],
    "no such key": ["--public-key", "nowhere.pem"],
    "no such trust": ["--trust", "nowhere.toml", "--json"],
    "a decision that is none": ["--trust", "trust.toml", "--decision", "key.pem"],
    "nobody named": [],
}
UNUSUAL: list[list[str]] = [
    [],
    ["show", "x"],
    ["verify"],
    ["verify", "--help"],
    ["verify", "a", "b"],
    ["verify", "a", "--trust"],
    ["verify", "a", "--trust", "--json"],
    ["verify", "a", "--trust="],
    ["verify", "a", "--json", "--json"],
    ["verify", "a", "--replay", "--no-replay"],
    ["verify", "a", "--nonsense"],
    ["verify", "--", "a"],
    ["verify", ""],
    ["--version"],
    ["rollback"],
    ["rollback", "--registry", "r", "--channel", "c"],
    ["rollback", "--registry", "r", "--channel", "c", "--reason", "x", "now"],
    ["rollback", "--registry", "r", "--channel", "c", "--reason", "x", "--steps", "two"],
    ["rollback", "--registry", "r", "--channel", "c", "--reason", "x", "--steps", "-1"],
]


@pytest.fixture
def folder(
    tmp_path: Path, bundle_bytes: bytes, builder: Signer, trust: TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with a bundle, its builder's key and a trust policy."""
    (tmp_path / "tiny.candidate").write_bytes(bundle_bytes)
    (tmp_path / "key.pem").write_text(builder.public_pem)
    (tmp_path / "trust.toml").write_text(write_trust(trust))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CANDIDATE_TRUST", raising=False)
    return tmp_path


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("where", ["tiny.candidate", "missing.candidate", "key.pem"])
def test_both_ways_say_the_same(folder: Path, capsys: pytest.CaptureFixture[str], name: str, where: str) -> None:
    """The same exit code, the same text or JSON, the same error."""
    if name == "nobody named":
        (folder / "trust.toml").unlink()
    arguments = ["verify", where, *PLAIN[name]]
    short = quick.answer(arguments)
    said = capsys.readouterr()
    long = app.run(arguments)

    assert short == long
    assert said == capsys.readouterr()
    assert said.out or said.err or "--quiet" in arguments


@pytest.mark.parametrize("arguments", UNUSUAL, ids=" ".join)
def test_all_else_goes_to_the_application(arguments: list[str]) -> None:
    """Help, mistakes and other commands are not for the short way."""
    assert quick.answer(arguments) is None


def test_the_short_way_imports_little(folder: Path) -> None:
    """Neither typer nor pydantic, neither NumPy nor onnx; and without a replay no process is started either."""
    loaded = modules(["verify", "tiny.candidate", "--public-key", "key.pem", "--no-replay", "--quiet"], folder)

    assert not {*HEAVY, "subprocess", "tempfile"} & loaded
