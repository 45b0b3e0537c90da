"""`--key keyless` from the command line: signed by an identity, verified by a policy that names it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from candidate.adapters import keyless
from candidate.adapters.trust import write_trust
from candidate.documents.trust import RoleKeys, TrustPolicy
from tests.sigstores import SHIP, LocalSigstore, identity_token, ship

Answer = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> LocalSigstore:
    """A sigstore of our own, in the place of the public one."""
    made = LocalSigstore()
    monkeypatch.setattr(keyless, "service", lambda _: made.service)
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: None)
    monkeypatch.delenv("SIGSTORE_ID_TOKEN", raising=False)
    return made


def test_a_workflow_builds_and_its_policy_verifies(
    answer: Answer, local: LocalSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token comes from the environment; the trust policy names the root beside it. Another workflow is refused."""
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", identity_token(SHIP))
    code, built = answer("build", "v1.toml", "--out", tmp_path, "--key", "keyless")
    assert code == 0
    (tmp_path / "trusted_root.json").write_text(local.root)
    for name, subject in (("ours", SHIP), ("theirs", SHIP + "2")):
        policy = TrustPolicy(roles={"builder": RoleKeys(identities=(ship(subject),))}, sigstore=local.pinned)
        head, _, rest = write_trust(policy).partition("trusted_root = ")
        named = f'{head}trusted_root = "trusted_root.json"\n{rest.partition(chr(10))[2]}'
        (tmp_path / f"{name}.toml").write_text(named)

    code, found = answer("verify", built["path"], "--trust", tmp_path / "ours.toml", "--no-replay")
    assert (code, found["kind"]) == (0, "candidate.verification")
    assert f"release signed by {SHIP}" in [check["detail"] for check in found["checks"]]
    code, found = answer("verify", built["path"], "--trust", tmp_path / "theirs.toml", "--no-replay")
    assert (code, found["kind"]) == (7, "error")
    assert SHIP in found["message"]
    assert answer("verify", built["path"], "--public-key", "keys/builder.pub.pem", "--no-replay")[0] == 7


@pytest.mark.usefixtures("local")
def test_without_an_identity_nothing_is_built(answer: Answer, tmp_path: Path) -> None:
    """It asks nobody to log in, and says what CI must allow."""
    code, found = answer("build", "v1.toml", "--out", tmp_path, "--key", "keyless")

    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert "id-token: write" in found["hint"]


def test_a_file_of_that_name_is_a_key(answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's key changes its meaning."""
    monkeypatch.chdir(tmp_path)
    Path("keyless").write_text("nothing")
    code, found = answer("build", "v1.toml", "--key", "keyless")

    assert (code, found["message"]) == (2, "not a private key")


def test_another_sigstore_is_named_in_the_environment(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration is read before anything is built."""
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", identity_token(SHIP))
    monkeypatch.setenv("CANDIDATE_SIGSTORE_CONFIG", str(tmp_path / "config.json"))
    assert answer("build", "v1.toml", "--out", tmp_path / "out", "--key", "keyless")[0] == 2
    (tmp_path / "config.json").write_text("{}")
    code, found = answer("build", "v1.toml", "--out", tmp_path / "out", "--key", "keyless")

    assert (code, (tmp_path / "out").exists()) == (2, False)
    assert "sigstore's configuration cannot be used" in found["message"]
