"""Other people's tools accept what we write, and refuse it once it is spoiled. Run by ``make test-peers``."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from candidate.adapters.attest import Signer, attest, load_signer, new_key
from candidate.adapters.oci import release_statement
from candidate.documents.evidence import BundleRef
from candidate.documents.statement import EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE
from candidate.flows.showing import unpack
from tests.adapters.test_verdicts import said
from tests.bundles import decision_statement, go_decision, sealed, tiny_recipe

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def builder() -> Signer:
    """A builder's key."""
    return load_signer(new_key(None), None)


def sigstore(attestation: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """Run the sigstore project's JavaScript verifier."""
    command = ["node", str(HERE / "verify.cjs"), str(attestation), str(key)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("kind", ["release", "decision"])
def test_sigstore_accepts_our_attestations(tmp_path: Path, builder: Signer, kind: str) -> None:
    """@sigstore/verify takes a release and a decision under our key, and refuses both under another."""
    digest = "sha256:" + "a" * 64
    statement = (
        release_statement("late-flights", "1.0.0", digest)
        if kind == "release"
        else decision_statement(go_decision(BundleRef(name="late-flights", version="1.0.0", digest=digest)))
    )
    data = attest(statement, builder).to_bytes()
    (tmp_path / "a.json").write_bytes(data)
    (tmp_path / "right.pem").write_text(builder.public_pem)
    (tmp_path / "wrong.pem").write_text(load_signer(new_key(None), None).public_pem)

    accepted = sigstore(tmp_path / "a.json", tmp_path / "right.pem")
    refused = sigstore(tmp_path / "a.json", tmp_path / "wrong.pem")

    assert accepted.returncode == 0, accepted.stderr
    assert "SIGNATURE_ERROR" in refused.stderr


def test_sigstore_refuses_a_spoiled_payload(tmp_path: Path, builder: Signer) -> None:
    """One changed character of the payload breaks the attestation for others as it does for us."""
    data = json.loads(attest(release_statement("m", "1", "sha256:" + "a" * 64), builder).to_bytes())
    payload = data["dsseEnvelope"]["payload"]
    data["dsseEnvelope"]["payload"] = payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:]
    (tmp_path / "a.json").write_text(json.dumps(data))
    (tmp_path / "key.pem").write_text(builder.public_pem)

    assert sigstore(tmp_path / "a.json", tmp_path / "key.pem").returncode == 1


def test_skopeo_copies_a_bundle_without_changing_its_identity(tmp_path: Path, builder: Signer) -> None:
    """Skopeo reads the bundle as an OCI archive, and the manifest it writes has the bundle's digest."""
    recipe = tiny_recipe()
    bundle = tmp_path / "tiny-1.0.0.candidate"
    bundle.write_bytes(sealed(recipe, builder))
    layout = tmp_path / "layout"
    skopeo = ["skopeo", "--insecure-policy"]
    shown = subprocess.run(
        [*skopeo, "inspect", "--raw", f"oci-archive:{bundle}:1.0.0"], capture_output=True, timeout=60, check=True
    )
    subprocess.run(
        [*skopeo, "copy", f"oci-archive:{bundle}:1.0.0", f"oci:{layout}:1.0.0"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    index = json.loads((layout / "index.json").read_bytes())

    assert "sha256:" + hashlib.sha256(shown.stdout).hexdigest() == recipe.content().digest
    assert index["manifests"][0]["digest"] == recipe.content().digest


THEIRS = HERE / ".work" / "venv" / "bin"


def model_signing(tree: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """Run OpenSSF's model_signing over an unpacked bundle."""
    command = [str(THEIRS / "model_signing"), "verify", "key", str(tree)]
    command += ["--signature", str(tree / "model.sig"), "--public_key", str(key)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_model_signing_accepts_an_unpacked_bundle(tmp_path: Path, builder: Signer) -> None:
    """OpenSSF's verifier takes the tree under the builder's key; not a changed byte, a file more, another key."""
    recipe = tiny_recipe()
    bundle = tmp_path / "tiny.candidate"
    bundle.write_bytes(sealed(recipe, builder, integrity=True))
    unpack(bundle, tmp_path / "tree")
    (tmp_path / "key.pem").write_text(builder.public_pem)
    (tmp_path / "other.pem").write_text(load_signer(new_key(None), None).public_pem)
    accepted = model_signing(tmp_path / "tree", tmp_path / "key.pem")
    strange = model_signing(tmp_path / "tree", tmp_path / "other.pem")
    (tmp_path / "tree" / "extra.txt").write_text("x")
    more = model_signing(tmp_path / "tree", tmp_path / "key.pem")
    (tmp_path / "tree" / "extra.txt").unlink()
    card = tmp_path / "tree" / "README.md"
    card.write_bytes(card.read_bytes()[:-1] + b"?")
    changed = model_signing(tmp_path / "tree", tmp_path / "key.pem")

    assert accepted.returncode == 0, accepted.stderr
    assert "Verification succeeded" in accepted.stdout
    assert [strange.returncode, more.returncode, changed.returncode] == [1, 1, 1]


def test_securesystemslib_verifies_our_envelope(tmp_path: Path, builder: Signer) -> None:
    """The in-toto project's library verifies the DSSE envelope of a decision under the same key, and no other."""
    digest = "sha256:" + "a" * 64
    decision = go_decision(BundleRef(name="late-flights", version="1.0.0", digest=digest))
    envelope = json.loads(attest(decision_statement(decision), builder).to_bytes())["dsseEnvelope"]
    program = """
import json, sys
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
envelope = Envelope.from_dict(json.load(open(sys.argv[1])))
for name in sys.argv[2:]:
    pem = open(name).read()
    key = SSlibKey(list(envelope.signatures)[0], "ecdsa", "ecdsa-sha2-nistp256", {"public": pem})
    try:
        envelope.verify([key], 1)
        print("verified")
    except VerificationError:
        print("refused")
"""
    (tmp_path / "envelope.json").write_text(json.dumps(envelope))
    (tmp_path / "right.pem").write_text(builder.public_pem)
    (tmp_path / "wrong.pem").write_text(load_signer(new_key(None), None).public_pem)
    files = [str(tmp_path / name) for name in ("envelope.json", "right.pem", "wrong.pem")]
    done = subprocess.run(
        [str(THEIRS / "python"), "-c", program, *files], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.split() == ["verified", "refused"], done.stderr


@pytest.mark.parametrize("kind", [EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE])
def test_sigstore_accepts_the_verdict_in_other_words(tmp_path: Path, builder: Signer, kind: str) -> None:
    """@sigstore/verify takes the evaluation, the test result and the SLSA summary of a real verdict."""
    (tmp_path / "a.json").write_bytes(attest(said("go")[kind], builder).to_bytes())
    (tmp_path / "key.pem").write_text(builder.public_pem)
    accepted = sigstore(tmp_path / "a.json", tmp_path / "key.pem")

    assert accepted.returncode == 0, accepted.stderr


DRAFT = """
import json, sys
from proofbundle.intoto import classify_eval_result_v02_predicate
good, why = classify_eval_result_v02_predicate(json.load(sys.stdin))
print(why)
sys.exit(0 if good else 1)
"""


@pytest.mark.parametrize("outcome", ["go", "no-go", "inconclusive"])
def test_the_evaluation_has_the_shape_of_in_totos_draft(outcome: str) -> None:
    """The eval-result draft v0.2 as its author's own verifier judges it; a threshold that is a number is refused."""
    statement = json.loads(said(outcome)[EVALUATION_TYPE].to_bytes())
    spoiled = json.loads(json.dumps(statement))
    spoiled["predicate"]["claims"][0]["threshold"] = 0.5
    command = [str(THEIRS / "python"), "-c", DRAFT]
    accepted, refused = (
        subprocess.run(command, input=json.dumps(each), capture_output=True, text=True, timeout=60, check=False)
        for each in (statement, spoiled)
    )

    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert refused.returncode == 1
    assert "threshold must be a decimal string" in refused.stdout
