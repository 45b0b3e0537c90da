"""Other people's tools accept what we write, and refuse it once it is spoiled. Run by ``make test-peers``."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from candidate.adapters.attest import Signer, attest, load_signer, new_key
from candidate.adapters.oci import release_statement
from candidate.documents.evidence import BundleRef
from candidate.documents.names import EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE
from candidate.documents.publickey import Algorithm
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


@pytest.fixture(scope="module")
def edwards() -> Signer:
    """An Ed25519 key."""
    return load_signer(new_key(None, "ed25519"), None)


@pytest.fixture(scope="module")
def quantum() -> Signer:
    """An ML-DSA-65 key."""
    return load_signer(new_key(None, "ml-dsa-65"), None)


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
@pytest.mark.parametrize("kind", ["release", "decision"])
def test_sigstore_accepts_our_attestations(tmp_path: Path, kind: str, algorithm: Algorithm) -> None:
    """@sigstore/verify takes a release and a decision under our key, and refuses both under another."""
    signer = load_signer(new_key(None, algorithm), None)
    digest = "sha256:" + "a" * 64
    statement = (
        release_statement("late-flights", "1.0.0", digest)
        if kind == "release"
        else decision_statement(go_decision(BundleRef(name="late-flights", version="1.0.0", digest=digest)))
    )
    data = attest(statement, signer).to_bytes()
    (tmp_path / "a.json").write_bytes(data)
    (tmp_path / "right.pem").write_text(signer.public_pem)
    (tmp_path / "wrong.pem").write_text(load_signer(new_key(None, algorithm), None).public_pem)

    accepted = sigstore(tmp_path / "a.json", tmp_path / "right.pem")
    refused = sigstore(tmp_path / "a.json", tmp_path / "wrong.pem")

    assert accepted.returncode == 0, accepted.stderr
    assert "SIGNATURE_ERROR" in refused.stderr


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_sigstore_refuses_a_spoiled_payload(tmp_path: Path, algorithm: Algorithm) -> None:
    """One changed character of the payload breaks the attestation for others as it does for us."""
    builder = load_signer(new_key(None, algorithm), None)
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


def test_model_signing_accepts_no_ed25519_signature_spoiled_or_not(tmp_path: Path, edwards: Signer) -> None:
    """What `candidate key show` says: OpenSSF's verifier knows elliptic curves alone, and never says yes to these."""
    bundle, tree, key = tmp_path / "tiny.candidate", tmp_path / "tree", tmp_path / "key.pem"
    bundle.write_bytes(sealed(tiny_recipe(), edwards, integrity=True))
    unpack(bundle, tree)
    key.write_text(edwards.public_pem)
    whole = model_signing(tree, key)
    (tree / "README.md").write_bytes((tree / "README.md").read_bytes()[:-1] + b"?")
    spoiled = model_signing(tree, key)

    for answer in (whole, spoiled):
        assert answer.returncode != 0
        assert "Verification succeeded" not in answer.stdout


def test_model_signing_reads_a_hybrid_bundle(tmp_path: Path, builder: Signer, quantum: Signer) -> None:
    """A second attestation by a lattice takes nothing from whoever reads the first."""
    bundle, tree, key = tmp_path / "tiny.candidate", tmp_path / "tree", tmp_path / "key.pem"
    bundle.write_bytes(sealed(tiny_recipe(), quantum, builder, integrity=True))
    unpack(bundle, tree)
    key.write_text(builder.public_pem)
    answer = model_signing(tree, key)

    assert answer.returncode == 0, answer.stderr
    assert "Verification succeeded" in answer.stdout


SCHEMES: dict[Algorithm, tuple[str, str]] = {
    "ecdsa-p256": ("ecdsa", "ecdsa-sha2-nistp256"),
    "ed25519": ("ed25519", "ed25519"),
}
"""What securesystemslib calls each algorithm. Its ML-DSA is TUF's own (TAP 21): it signs ``tuf``, a version and a
SHA-512 of the message, where DSSE and sigstore sign the message. It therefore cannot read ours."""

DSSE = """
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
envelope, threshold = Envelope.from_dict(json.load(open(sys.argv[1]))), int(sys.argv[2])
keys = []
for part in sys.argv[3:]:
    name, keyid = part.split("=")
    key = SSlibKey.from_crypto(load_pem_public_key(open(name, "rb").read()), keyid)
    print(key.keytype, key.scheme)
    keys.append(key)
try:
    envelope.verify(keys, threshold)
    print("verified")
except VerificationError:
    print("refused")
"""


def dsse(folder: Path, attestations: list[bytes], threshold: int, signers: dict[str, Signer]) -> list[str]:
    """Join attestations over one payload into one envelope, and let securesystemslib verify it; its output's lines.

    Args:
        folder: to write in.
        attestations: over the same payload.
        threshold: how many keys must have signed.
        signers: key id under which to try each key.
    """
    envelopes = [json.loads(data)["dsseEnvelope"] for data in attestations]
    assert len({envelope["payload"] for envelope in envelopes}) == 1
    joined = {**envelopes[0], "signatures": [mark for envelope in envelopes for mark in envelope["signatures"]]}
    (folder / "envelope.json").write_text(json.dumps(joined))
    arguments = []
    for number, (key_id, signer) in enumerate(signers.items()):
        (folder / f"{number}.pem").write_text(signer.public_pem)
        arguments.append(f"{folder / f'{number}.pem'}={key_id}")
    command = [str(THEIRS / "python"), "-c", DSSE, str(folder / "envelope.json"), str(threshold), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("algorithm", SCHEMES)
def test_securesystemslib_verifies_our_envelope(tmp_path: Path, algorithm: Algorithm) -> None:
    """The in-toto project's library verifies the DSSE envelope of a decision under the same key, and no other."""
    signer, other = (load_signer(new_key(None, algorithm), None) for _ in range(2))
    decision = go_decision(BundleRef(name="late-flights", version="1.0.0", digest="sha256:" + "a" * 64))
    data = attest(decision_statement(decision), signer).to_bytes()
    kind = " ".join(SCHEMES[algorithm])

    assert dsse(tmp_path, [data], 1, {signer.key_id: signer}) == [kind, "verified"]
    assert dsse(tmp_path, [data], 1, {signer.key_id: other}) == [kind, "refused"]


def test_securesystemslib_verifies_two_of_two(tmp_path: Path, builder: Signer, edwards: Signer) -> None:
    """Two attestations over one payload are one envelope with two signatures; without either it is refused."""
    statement = release_statement("late-flights", "1.0.0", "sha256:" + "a" * 64)
    both = [attest(statement, signer).to_bytes() for signer in (builder, edwards)]
    keys = {signer.key_id: signer for signer in (builder, edwards)}

    assert dsse(tmp_path, both, 2, keys)[-1] == "verified"
    for one in both:
        assert dsse(tmp_path, [one], 2, keys)[-1] == "refused"


def test_securesystemslib_reads_a_hybrid_by_its_curve(tmp_path: Path, builder: Signer, quantum: Signer) -> None:
    """The lattice's signature beside it does no harm; that library counts it as none, see ``SCHEMES``."""
    statement = release_statement("late-flights", "1.0.0", "sha256:" + "a" * 64)
    both = [attest(statement, signer).to_bytes() for signer in (quantum, builder)]
    keys = {signer.key_id: signer for signer in (builder, quantum)}

    assert dsse(tmp_path, both, 1, keys) == ["ecdsa ecdsa-sha2-nistp256", "ml-dsa ml-dsa-65/1", "verified"]
    assert dsse(tmp_path, both, 2, keys)[-1] == "refused"


DILITHIUM = """
import base64, json, sys
from dilithium_py.ml_dsa import ML_DSA_65
envelope = json.load(open(sys.argv[1]))["dsseEnvelope"]
payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
mark = base64.b64decode(envelope["signatures"][0]["sig"])
for name in sys.argv[2:]:
    body = "".join(line for line in open(name).read().splitlines() if not line.startswith("-----"))
    public = base64.b64decode(body)[-1952:]
    print(ML_DSA_65.verify(public, message, mark), ML_DSA_65.verify(public, message + b"x", mark))
"""


def test_another_implementation_of_ml_dsa_verifies_ours(tmp_path: Path, quantum: Signer) -> None:
    """FIPS 204 in pure Python, written by others, accepts the signature: plain ML-DSA, without a context."""
    other = load_signer(new_key(None, "ml-dsa-65"), None)
    (tmp_path / "a.json").write_bytes(attest(release_statement("m", "1", "sha256:" + "a" * 64), quantum).to_bytes())
    (tmp_path / "right.pem").write_text(quantum.public_pem)
    (tmp_path / "wrong.pem").write_text(other.public_pem)
    command = [
        str(THEIRS / "python"),
        "-c",
        DILITHIUM,
        *(str(tmp_path / n) for n in ("a.json", "right.pem", "wrong.pem")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.stdout.splitlines() == ["True False", "False False"], done.stderr


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
