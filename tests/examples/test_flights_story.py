"""The main job end to end on real flights: what the README shows is what happens."""

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import candidate
from candidate.adapters.archive import Archive
from candidate.cli.app import run
from candidate.documents.names import MLBOM_PATH
from candidate.flows.inspecting import inspect

ROOT = Path(candidate.__file__).parent.parent


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The story's folder, and what it printed."""
    folder = tmp_path_factory.mktemp("flights") / "demo"
    command = [sys.executable, "-m", "examples.flights.story", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


@pytest.fixture
def demo(told: tuple[Path, str]) -> Path:
    """The story's folder."""
    return told[0]


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON document of a command."""
    capsys.readouterr()
    code = run([str(argument) for argument in arguments] + ["--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def test_the_readme_shows_what_the_demo_prints(told: tuple[Path, str]) -> None:
    """Every line of the README's excerpt was printed, figures included; only digests may differ."""
    _, printed = told
    (excerpt,) = re.findall(
        r"^```text\n(6\. .*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )

    def anonymous(text: str) -> str:
        return re.sub(r"\([0-9a-f]{12}\)", "(…)", text)

    lines = [line.rstrip() for line in anonymous(printed).splitlines()]
    assert [line for line in anonymous(excerpt).splitlines() if line.rstrip() not in lines] == []


@pytest.mark.parametrize(
    ("name", "outcome"), [("first", "go"), ("go", "go"), ("no-go", "no-go"), ("inconclusive", "inconclusive")]
)
def test_each_decision_is_what_it_is_called(
    demo: Path, capsys: pytest.CaptureFixture[str], name: str, outcome: str
) -> None:
    """A decision of each outcome, signed, with nine lines, that follows from the evidence beside it."""
    path = demo / "decisions" / f"{name}.json"
    code, found = answer(capsys, "show", path)
    audited, audit = answer(capsys, "audit", path, "--trust", demo / "trust.toml")

    assert (code, found["outcome"], len(found["checklist"])) == (0, outcome, 9)
    assert (audited, audit["outcome"]) == (0, outcome)
    assert found["rollback_target"] == found["champion"]


def test_the_regression_is_found_in_the_carrier_that_broke(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The challenger is proven better overall, and refused for the one carrier whose training data broke."""
    found = answer(capsys, "show", demo / "decisions" / "no-go.json")[1]["findings"]
    failed = [finding["slice"] for finding in found if finding["status"] == "fail"]
    overall = next(finding for finding in found if finding["rule"] == "optimizing")

    assert failed == ["carrier=MQ"]
    assert overall["status"] == "pass"


def test_too_few_rows_are_counted(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The inconclusive decision says how many rows the optimizing rule needs."""
    found = answer(capsys, "show", demo / "decisions" / "inconclusive.json")[1]
    optimizing = next(finding for finding in found["findings"] if finding["rule"] == "optimizing")

    assert optimizing["status"] == "open"
    assert optimizing["n_needed"] > found["data"]["rows"]


def test_bundles_verify_and_tampered_ones_do_not(
    demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Every bundle is 0 under the story's trust; a changed byte is 6 or 7; another's trust is 7."""
    trust = ("--trust", demo / "trust.toml")
    rng = random.Random(13)
    for path in sorted((demo / "bundles").iterdir()):
        assert answer(capsys, "verify", path, *trust)[0] == 0
        data = path.read_bytes()
        for _ in range(40):
            spoiled = bytearray(data)
            spoiled[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            (tmp_path / "spoiled.candidate").write_bytes(spoiled)
            assert answer(capsys, "verify", tmp_path / "spoiled.candidate", *trust)[0] in {6, 7}
    keys = {role: [candidate.load_signer(candidate.new_key(None), None).public_pem] for role in ("builder", "approver")}
    (tmp_path / "other.toml").write_text(candidate.write_trust(candidate.trust_of(keys)))  # type: ignore[arg-type]  # role names

    assert answer(capsys, "verify", path, "--trust", tmp_path / "other.toml")[0] == 7


def test_derived_files_do_not_matter(demo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Status says the same with and without everything in the registry that can be derived."""
    shutil.copytree(demo / "registry", tmp_path / "registry")
    before = answer(capsys, "status", "--registry", tmp_path / "registry")[1]
    shutil.rmtree(tmp_path / "registry" / "refs")

    assert answer(capsys, "status", "--registry", tmp_path / "registry")[1] == before
    assert before["channels"][0]["champion"]["version"] == "1.0.0"


def test_private_keys_are_apart_from_what_one_publishes(demo: Path) -> None:
    """Outside ``keys/`` there is no private key, and git ignores the whole folder."""
    published = [path for path in demo.rglob("*") if path.is_file() and "keys" not in path.relative_to(demo).parts]

    assert published
    assert [path.name for path in published if b"PRIVATE KEY" in path.read_bytes()] == []
    assert "/demo/" in (ROOT / ".gitignore").read_text().split()


def test_every_bundle_of_the_demo_has_a_valid_bill_of_materials(demo: Path) -> None:
    """CycloneDX's own schema, in its strict form, accepts all of them; each names the data it was trained on."""
    bundles = sorted((demo / "bundles").glob("*.candidate"))
    for path in bundles:
        with Archive.open(path) as archive:
            bundle = inspect(archive)
            bill = bundle.read(MLBOM_PATH)
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
        assert bundle.experiment.data.digest.removeprefix("sha256:").encode() in bill

    assert len(bundles) == 3


def test_what_was_signed_in_the_demo_can_travel_in_its_bundle(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The no-go's claims are audited, attached to the very bundle, and it stays the bundle that it is."""
    bundle = shutil.copy(sorted((demo / "bundles").glob("*.candidate"))[2], tmp_path)
    claims = demo / "decisions" / "no-go.claims.jsonl"
    identity = answer(capsys, "show", bundle)[1]["bundle"]
    code, attached = answer(capsys, "attach", bundle, claims, "--trust", demo / "trust.toml")

    assert (code, attached["bundle"], len(attached["attestations"])) == (0, identity, 4)
    assert answer(capsys, "verify", bundle, "--trust", demo / "trust.toml")[0] == 0
