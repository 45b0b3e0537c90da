"""The 45 attacks: every case of the corpus ends in its own error, everywhere, and leaves nothing behind."""

import ast
import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest

from candidate.adapters.trust import write_trust
from candidate.cli.app import run
from candidate.errors import CandidateError
from candidate.flows.showing import unpack
from candidate.flows.verifying import verify
from tests.hostile import attacks
from tests.hostile.attestations import mirrored
from tests.hostile.external import GOOD, OUTSIDE
from tests.hostile.table import ATTACKS, BEYOND

ROOT = Path(__file__).parents[2]
CORPUS = attacks.corpus()
FILES = [name for name in CORPUS if name.split(":")[0] in {"container", "listing", "member", "graph", "external"}]
BUNDLES = [*FILES, *(name for name in CORPUS if name.startswith("attestation"))]


@pytest.mark.parametrize("name", CORPUS)
def test_a_case_ends_in_its_own_error(name: str, tmp_path: Path) -> None:
    """Its leaf, its words, and never another exception."""
    case, kit = CORPUS[name], attacks.fresh_kit()
    error = attacks.outcome(name.split(": ", maxsplit=1)[0], case.make(kit), attacks.fresh_kit(), tmp_path)

    assert type(error) is case.leaf
    assert re.search(case.words, str(error)), str(error)


def test_all_45_attacks_are_shown() -> None:
    """By cases, by tests elsewhere that are really there, or by a reason."""
    assert list(ATTACKS) == list(range(1, 46))
    for number, attack in ATTACKS.items():
        assert attack.cases or attack.tests or attack.reason, number
        for test in attack.tests:
            path, name = test.split("::")
            found = {
                node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)
            }
            assert name in found, test
    cases = [name for attack in ATTACKS.values() for name in attack.cases] + list(BEYOND)
    assert len(cases) == len(set(cases)) == len(CORPUS)


def test_the_page_equals_its_table() -> None:
    """As with the schemas: whoever changes one sees it in the other."""
    assert attacks.DOCUMENT.read_bytes() == attacks.document()


def test_the_corpus_is_written_whole_and_twice_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file for each case beside a good bundle and a good policy; and the table says that none passed."""
    for folder in ("one", "two"):
        monkeypatch.setattr(sys, "argv", ["attacks", str(tmp_path / folder)])
        assert attacks.main() == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    said = capsys.readouterr().out

    assert len(files) == len(CORPUS) + 2
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert f"{len(CORPUS)} cases" in said
    assert "0: " not in said.replace("10: ", "")


@pytest.mark.parametrize("name", BUNDLES)
def test_the_command_line_refuses_in_plain_text(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code and one JSON document; no traceback, and nothing that steers a terminal or adds a line to a log."""
    case, kit = CORPUS[name], attacks.fresh_kit()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.candidate").write_bytes(case.make(kit))
    (tmp_path / "trust.toml").write_text(write_trust(attacks.trust_in(kit)))

    assert run(["verify", "x.candidate", "--no-replay", "--json"]) == case.leaf.exit_code
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["kind"] == "error"
    assert document["exit_code"] == case.leaf.exit_code
    assert document["message"]
    assert document["where"], "an error says where"
    lines = said.err.splitlines()
    assert 1 <= len(lines) <= 2
    assert all(unicodedata.category(character)[0] != "C" for line in lines for character in line)
    assert "Traceback" not in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trust.toml", "x.candidate"]


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_left_behind_by_a_refusal(name: str, tmp_path: Path) -> None:
    """Unpacking writes all members into its target, or nothing anywhere."""
    bundle, inner = tmp_path / "x.candidate", tmp_path / "a" / "b"
    bundle.write_bytes(CORPUS[name].make(attacks.fresh_kit()))
    inner.mkdir(parents=True)
    try:
        unpack(bundle, inner / "target")
    except CandidateError:
        assert list(inner.iterdir()) == []
    else:
        # Only what lies about who signed it, not about what it holds, is unpacked: nobody is trusted there.
        assert name == "listing: attestation no longer listed"
    outside = [path for path in tmp_path.rglob("*") if inner / "target" not in (path, *path.parents)]
    assert sorted(outside) == sorted([bundle, tmp_path / "a", inner])


def test_a_mirrored_signature_changes_no_identity(tmp_path: Path) -> None:
    """ECDSA has two signatures for each statement; the bundle is the same bundle under either."""
    kit = attacks.fresh_kit()
    one, two = tmp_path / "one.candidate", tmp_path / "two.candidate"
    one.write_bytes(kit.data)
    two.write_bytes(mirrored(kit))
    found = [verify(path, trust=attacks.trust_in(kit), now=attacks.NOW, replay=False) for path in (one, two)]

    assert one.read_bytes() != two.read_bytes()
    assert found[0] == found[1]


def test_external_data_without_a_fault_is_let_through_or_refused_as_such(tmp_path: Path) -> None:
    """What the cases of external data are made of has no other fault that could be the reason."""
    kit = attacks.fresh_kit()
    error = attacks.outcome("external", GOOD(kit), kit, tmp_path)

    assert error is None or re.search(OUTSIDE, str(error))
