"""What compare signs beside the decision: audited with it, attached to the bundle, and read by others from there."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from candidate.adapters.attest import Signer, attest, check, load_signer, unverified_statement
from candidate.adapters.verdicts import claims_bytes
from candidate.documents.names import DECISION_TYPE, EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE
from candidate.documents.statement import Statement
from candidate.errors import InputError
from candidate.flows.outcomes import write_outcome

Answer = Callable[..., tuple[int, dict[str, Any]]]
SAID = [DECISION_TYPE, EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE]
BUNDLE = "small-2.0.0.candidate"


def approver(project: Any) -> Signer:
    """The project's approver."""
    pem = (project.root / "keys/approver.pem").read_bytes()
    return load_signer(pem, b"correct horse battery staple")


@pytest.fixture
def copy(project: Any, tmp_path: Path) -> Path:
    """The go with its evidence and claims, and its bundle, in a folder of their own."""
    shutil.copytree(project.root / "decisions", tmp_path / "decisions")
    shutil.copy(project.root / "bundles" / BUNDLE, tmp_path)
    return tmp_path


def test_compare_writes_everything_it_signed_in_one_file(project: Any) -> None:
    """NAME.claims.jsonl: the decision itself first, then the three for other tools, all by the approver."""
    lines = (project.root / "decisions/go.claims.jsonl").read_bytes().splitlines()
    key = approver(project)

    assert lines[0] == (project.root / "decisions/go.json").read_bytes()
    assert [check(line, [key.public_pem]).statement.predicate_type for line in lines] == SAID


def test_without_a_key_nothing_is_said_in_anybodys_words(answer: Answer, tmp_path: Path) -> None:
    """An unsigned comparison leaves a decision and evidence, and no claims; a file that is there is not overwritten."""
    command = ("compare", "bundles/small-1.0.0.candidate", "--champion", "none", "--policy", "first.toml")
    command = (*command, "--data", "few.parquet", "--out", tmp_path)  # type: ignore[assignment]
    assert answer(*command)[0] in {3, 4}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decision.json", "evidence"]
    (tmp_path / "other.claims.jsonl").write_text("mine")
    code, found = answer(*command, "--name", "other")

    assert (code, (tmp_path / "other.claims.jsonl").read_text()) == (2, "mine")
    assert "other.claims.jsonl exists already" in found["message"]


def test_an_audit_recomputes_the_claims_too(answer: Answer, copy: Path) -> None:
    """Each is recomputed from the evidence; without the file nothing is claimed of it."""
    go = copy / "decisions/go.json"
    code, found = answer("audit", go, "--trust", "trust.toml")
    assert code == 0
    assert "4 attestations in go.claims.jsonl, each recomputed and equal" in found["establishes"]
    (copy / "decisions/go.claims.jsonl").unlink()
    code, found = answer("audit", go, "--trust", "trust.toml")

    assert code == 0
    assert not any("claims" in line for line in found["establishes"])


def changed(statement: Statement, **fields: Any) -> Statement:
    """A statement with another predicate."""
    return statement.model_copy(update={"predicate": {**statement.predicate, **fields}})


@pytest.mark.parametrize("number", range(4))
def test_a_claim_that_does_not_follow_is_refused_whoever_signed_it(
    project: Any, answer: Answer, copy: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The approver's own signature under another result, another threshold, another decision."""
    file = copy / "decisions/go.claims.jsonl"
    lines = file.read_bytes().splitlines()
    statement = unverified_statement(lines[number])
    fields: list[dict[str, Any]] = [
        {"issued": "2026-01-01T00:00:00Z"},
        {"sampleSize": 10**9},
        {"warnedTests": []} if statement.predicate.get("warnedTests") else {"passedTests": []},
        {"resourceUri": "candidate:small/elsewhere"},
    ]
    lines[number] = attest(changed(statement, **fields[number]), approver(project)).to_bytes()
    file.write_bytes(claims_bytes(lines))
    monkeypatch.chdir(copy)  # where no trust.toml lies
    for trust in ((), ("--trust", project.root / "trust.toml")):
        code, found = answer("audit", copy / "decisions/go.json", *trust)
        assert code == 6
        assert "does not follow" in found["message"]
        assert f"line {number + 1}" in found["where"]


def test_claims_of_a_stranger_are_refused_where_trust_is_asked_for(
    project: Any, answer: Answer, copy: Path, stranger: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same statements under another key."""
    file = copy / "decisions/go.claims.jsonl"
    again = [attest(unverified_statement(line), stranger).to_bytes() for line in file.read_bytes().splitlines()]
    file.write_bytes(claims_bytes(again))

    monkeypatch.chdir(copy)  # where no trust.toml lies
    assert answer("audit", copy / "decisions/go.json")[0] == 0
    assert answer("audit", copy / "decisions/go.json", "--trust", project.root / "trust.toml")[0] == 7


@pytest.mark.parametrize("data", [b"", b"{}", b"{}\n", b"\n", b"\xff\n"])
def test_claims_that_are_none_are_refused(answer: Answer, copy: Path, data: bytes) -> None:
    """Cut, empty, or no attestations."""
    (copy / "decisions/go.claims.jsonl").write_bytes(data)

    assert answer("audit", copy / "decisions/go.json")[0] == 6


def test_what_was_signed_travels_with_the_bundle(answer: Answer, copy: Path) -> None:
    """Attached, shown, verified, promoted as the same bundle, and laid out by unpack; once more changes nothing."""
    bundle, claims = copy / BUNDLE, copy / "decisions/go.claims.jsonl"
    identity = answer("show", bundle)[1]["bundle"]
    code, found = answer("attach", bundle, claims, "--trust", "trust.toml")
    data = bundle.read_bytes()
    assert code == 0
    assert (found["bundle"], found["checked"]) == (identity, True)
    assert [item["predicate_type"] for item in found["attestations"]] == SAID
    assert not any(item["already"] for item in found["attestations"])
    code, found = answer("attach", bundle, copy / "decisions/go.json", claims)
    assert (code, bundle.read_bytes()) == (0, data)
    assert all(item["already"] for item in found["attestations"])
    code, shown = answer("show", bundle)
    assert (code, shown["bundle"]) == (0, identity)
    assert set(SAID) < set(shown["attestations"])
    code, found = answer("verify", bundle, "--trust", "trust.toml", "--decision", copy / "decisions/go.json")
    assert (code, found["bundle"]) == (0, identity)
    assert answer("verify", bundle, "--trust", "trust.toml")[1]["decision"] is None
    code, _ = answer("unpack", bundle, copy / "tree")
    laid = (copy / "tree/claims.jsonl").read_bytes().splitlines()

    assert code == 0
    assert set(claims.read_bytes().splitlines()) < set(laid)
    assert len(laid) == 7


def test_a_build_is_checked_against_its_bundle(answer: Answer, copy: Path) -> None:
    """Built again, equal; with a key that is attested and attached, and verification still holds."""
    bundle = copy / BUNDLE
    code, found = answer("build", "v2.toml", "--check", bundle)
    assert (code, found["attestation"], found["path"]) == (0, None, None)
    signed = ("build", "v2.toml", "--check", bundle, "--key", "keys/builder.pem")
    code, found = answer(*signed, "--out", copy / "again.json")
    assert (code, found["path"]) == (0, str(copy / "again.json"))
    code, attached = answer("attach", bundle, copy / "again.json", "--trust", "trust.toml")
    assert (code, attached["attestations"][0]["digest"]) == (0, found["attestation"])
    code, again = answer(*signed)
    assert (code, again["attestation"], again["path"]) == (0, found["attestation"], str(bundle))
    assert answer("verify", bundle, "--trust", "trust.toml")[0] == 0
    code, found = answer("build", "v1.toml", "--check", bundle)

    assert code == 6
    assert "candidate.json: /descriptor/version" in found["message"]
    assert answer("build", "v2.toml", "--check", bundle, "--out", copy / "x.json")[0] == 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("attach", "BUNDLE", "decisions/go.json"), ("is still small 2.0.0", "give --trust")),
        (("build", "v2.toml", "--check", "BUNDLE"), ("equal in every byte", "no: give --key")),
    ],
)
def test_people_are_told_what_was_done(
    project: Any, copy: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """Text for a terminal; nothing with --quiet."""
    parts = [copy / BUNDLE if part == "BUNDLE" else part for part in command]
    capsys.readouterr()
    assert project.run(*parts, "--quiet") == 0
    assert not capsys.readouterr().out
    assert project.run(*parts) == 0
    told = capsys.readouterr().out

    assert all(word in told for word in words)


@pytest.mark.parametrize("stop", ["evidence", "claims.jsonl", "decision.json"])
def test_an_outcome_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    """A disk that is full at any step leaves nothing behind; the next try succeeds."""
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if Path(target).name == stop:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(InputError, match="No space left"):
        write_outcome(tmp_path, "decision", b"{}", {"evidence.json": b"{}"}, [b"line"])
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    written = write_outcome(tmp_path, "decision", b"{}", {"evidence.json": b"{}"}, [b"line"])

    assert written == tmp_path / "decision.json"
    assert (tmp_path / "claims.jsonl").read_bytes() == b"line\n"
