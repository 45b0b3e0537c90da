"""A rollback as a person in a hurry writes it takes a short way in; it says what the application would say."""

from pathlib import Path

import pytest

from candidate.cli import app, quick
from tests.releasing.conftest import CHANNEL, ONCALL, Stage
from tests.short import HEAVY, modules

BACK: dict[str, list[str]] = {
    "plainly": ["--reason", "it burns"],
    "in JSON": ["--reason=it burns", "--json"],
    "quietly": ["--reason", "it burns", "--quiet"],
    "replayed": ["--reason", "it burns", "--replay"],
    "to a version": ["--reason", "it burns", "--to", "1.0.0"],
    "two steps": ["--reason", "it burns", "--steps", "2"],
    "too far": ["--reason", "it burns", "--steps", "9"],
    "to nothing": ["--reason", "it burns", "--to", "9.9.9", "--json"],
    "without a reason": ["--reason", " "],
}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The file of the on-call key, which the registry of ``three`` trusts."""
    path = tmp_path / "oncall.pem"
    path.write_bytes(ONCALL)
    return path


@pytest.mark.parametrize("name", BACK)
@pytest.mark.parametrize("channel", [CHANNEL, "nowhere/prod"])
def test_both_ways_back_say_the_same(
    three: Stage, key: Path, capsys: pytest.CaptureFixture[str], name: str, channel: str
) -> None:
    """A rollback as a person in a hurry writes it, tried only."""
    place = str(three.registry.path)
    arguments = ["rollback", "--registry", place, "--channel", channel, "--key", str(key), "--dry-run", *BACK[name]]
    short = quick.answer(arguments)
    said = capsys.readouterr()
    long = app.run(arguments)

    assert short == long
    assert said == capsys.readouterr()
    assert said.out or said.err or "--quiet" in arguments


def test_the_short_way_back_imports_little(three: Stage, key: Path) -> None:
    """Also where the rollback is made; the runtime is loaded only where a replay is asked for."""
    arguments = [
        "rollback",
        "--registry",
        ".",
        "--channel",
        CHANNEL,
        "--reason",
        "it burns",
        "--key",
        str(key),
        "--quiet",
    ]

    assert not HEAVY & modules([*arguments, "--dry-run"], three.registry.path)
    assert "onnxruntime" in modules([*arguments, "--dry-run", "--replay"], three.registry.path)
    assert not HEAVY & modules(arguments, three.registry.path)
    assert three.champion == "2.0.0"
