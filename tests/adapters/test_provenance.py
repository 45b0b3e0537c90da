"""Where a model comes from: the commit that holds its source, whether it was clean, and when it was made."""

import shutil
import subprocess
from pathlib import Path

import pytest

from candidate.adapters.provenance import code_record, commit_time, host_record, libraries, lock_text
from candidate.canonical import digest_of
from candidate.errors import InputError


def git(folder: Path, *arguments: str) -> str:
    """Run git with a name and a time that do not depend on who runs it."""
    program = shutil.which("git")
    assert program, "git is what made this checkout"
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    environment = {"GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_AUTHOR_DATE": "1700000000 +0000", "HOME": str(folder)}
    done = subprocess.run(
        [program, "-C", str(folder), *settings, *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    (tmp_path / "train.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "train.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_checkout_has_its_commit(checkout: Path) -> None:
    """Commit, clean, and the digest of the script itself."""
    script = checkout / "train.py"
    record = code_record("train.py:fit", script, checkout)

    assert record.commit == git(checkout, "rev-parse", "HEAD")
    assert record.dirty is False
    assert record.source_digest == digest_of(script.read_bytes())


def test_an_edited_checkout_is_dirty(checkout: Path) -> None:
    """A change that is not committed shows."""
    (checkout / "train.py").write_text("x = 2\n")

    assert code_record("train.py:fit", checkout / "train.py", checkout).dirty is True


def test_what_building_leaves_behind_does_not_make_a_checkout_dirty(checkout: Path) -> None:
    """A bundle beside its source, and what Python caches of an import, are no change; a new script is one."""
    (checkout / "bundles").mkdir()
    (checkout / "bundles" / "m-1.candidate").write_bytes(b"x")
    (checkout / "package" / "__pycache__").mkdir(parents=True)
    (checkout / "package" / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"x")
    assert code_record("train.py:fit", checkout / "train.py", checkout).dirty is False

    (checkout / "package" / "new.py").write_text("x = 1\n")
    assert code_record("train.py:fit", checkout / "train.py", checkout).dirty is True
    assert code_record("new.py:fit", checkout / "package" / "new.py", checkout).dirty is True


def test_without_a_checkout_nothing_is_made_up(tmp_path: Path) -> None:
    """No commit is null, and so is whether it was clean."""
    record = code_record("model.onnx", None, tmp_path)

    assert (record.commit, record.dirty, record.source_digest) == (None, None, None)


def test_the_time_is_that_of_the_source(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SOURCE_DATE_EPOCH wins, then the commit; where there is neither, the epoch; never now."""
    assert commit_time(checkout, {"SOURCE_DATE_EPOCH": "86400"}) == "1970-01-02T00:00:00Z"
    assert commit_time(checkout, {}) == "2023-11-14T22:13:20Z"
    assert commit_time(tmp_path_factory.mktemp("bare"), {}) == "1970-01-01T00:00:00Z"
    for bad in ("soon", "1e99", "99999999999999999999"):
        with pytest.raises(InputError, match="no number of seconds"):
            commit_time(checkout, {"SOURCE_DATE_EPOCH": bad})


def test_versions_are_recorded_and_hosts_are_not_named() -> None:
    """The libraries that can change a model, the closure they need, and the kind of machine."""
    found = libraries(("numpy", "no-such-thing"))

    assert list(found) == ["numpy"]
    assert f"numpy=={found['numpy']}\n" in lock_text()
    assert lock_text() == "".join(sorted(lock_text().splitlines(keepends=True)))
    assert set(host_record().model_dump()) == {"system", "machine", "python", "implementation"}
