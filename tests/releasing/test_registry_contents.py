"""What is stored: caches that do not matter, exports, history."""

from pathlib import Path

import pytest

from candidate.canonical import digest_of
from candidate.documents.trust import TrustPolicy
from candidate.errors import (
    InputError,
    IntegrityError,
)
from candidate.flows.registry import Registry
from candidate.flows.releasing import export
from tests.releasing.conftest import CHANNEL, Stage, refused


def test_losing_the_refs_changes_nothing(three: Stage) -> None:
    """The cache is for other tools; status and history are read from the log, and a rollback works without it."""
    status, history = three.registry.status(), three.registry.history()
    for file in sorted((three.registry.path / "refs").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (three.registry.path / "refs").rmdir()
    assert (three.registry.status(), three.registry.history()) == (status, history)
    assert three.back().to.version == "2.0.0"
    assert (three.registry.path / "refs" / f"{CHANNEL}.json").is_file()


def test_a_lying_ref_changes_nothing(three: Stage) -> None:
    """Whatever the cache says, the log says who is champion."""
    (three.registry.path / "refs" / f"{CHANNEL}.json").write_bytes(b'{"champion":"1.0.0"}')
    assert three.champion == "3.0.0"


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0", "3.0.0"])
def test_an_export_is_the_very_file(three: Stage, tmp_path: Path, version: str) -> None:
    """What comes out of a registry is byte for byte what went in, and of the size that the store says."""
    out, file = tmp_path / "out.candidate", three.releases[version].path
    artifact = three.artifacts[version]
    assert export(three.registry, artifact, out) == digest_of(file.read_bytes())
    assert out.read_bytes() == file.read_bytes()
    assert three.registry.store.bundle(artifact).size_bytes == file.stat().st_size


def test_a_broken_bundle_is_not_exported(three: Stage, tmp_path: Path) -> None:
    """No partial file is left."""
    three.spoil("2.0.0")
    with pytest.raises(IntegrityError):
        export(three.registry, three.artifacts["2.0.0"], tmp_path / "out.candidate")
    assert [file.name for file in tmp_path.iterdir()] == ["three"]


def test_the_champion_is_read_with_the_entry_that_made_it(three: Stage, stage: Stage) -> None:
    """The champion's bytes are checked on reading; an empty channel has none."""
    bundle, head = three.registry.champion(CHANNEL)
    assert bundle is not None
    assert (bundle.ref, head) == (three.releases["3.0.0"].ref, 3)
    assert stage.registry.champion(CHANNEL) == (None, 0)
    three.spoil("3.0.0")
    with pytest.raises(IntegrityError):
        three.registry.champion(CHANNEL)


def test_history_tells_every_move(three: Stage) -> None:
    """Each move with its from and to, oldest first; another channel has none."""
    three.back()
    rows = three.registry.history(CHANNEL).entries
    assert [(row.from_ and row.from_.version, row.to and row.to.version, row.action) for row in rows] == [
        (None, "1.0.0", "promote"),
        ("1.0.0", "2.0.0", "promote"),
        ("2.0.0", "3.0.0", "promote"),
        ("3.0.0", "2.0.0", "rollback"),
    ]
    assert [row.decision is None for row in rows] == [False, False, False, True]
    assert three.registry.history("tiny/staging").entries == ()


def test_a_registry_is_made_once_and_with_usable_trust(stage: Stage, roles: TrustPolicy, tmp_path: Path) -> None:
    """An existing folder with something in it, a missing role and a folder that is no registry are bad input."""
    refused(stage, InputError, "exists already", Registry.create, stage.registry.path, trust=roles)
    few = {role: keys for role, keys in roles.roles.items() if role != "approver"}
    with pytest.raises(InputError, match="no keys for approver"):
        Registry.create(tmp_path / "few", trust=roles.model_copy(update={"roles": few}))
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(InputError, match="cannot be made"):
        Registry.create(file / "below", trust=roles)
    with pytest.raises(InputError, match="no registry"):
        Registry.open(tmp_path / "few")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "registry"]
