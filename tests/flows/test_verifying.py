"""Verification: what holds is said step by step, what does not is refused by its leaf."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, attest
from candidate.adapters.oci import Content, release_statement
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import Tolerance
from candidate.documents.names import MODEL_PATH
from candidate.documents.trust import Revoked, RoleKeys, TrustPolicy
from candidate.errors import InputError, IntegrityError, RefusedError
from candidate.flows.deciding import check_decision, check_fresh
from candidate.flows.verifying import check_release, golden_feeds, golden_outputs, inspect, load, replay, verify
from tests.bundles import (
    NAME,
    VERSION,
    Recipe,
    decision_statement,
    go_decision,
    pack,
    release,
    sealed,
    tiny_recipe,
    tiny_signature,
)

STEPS = ["archive", "layout", "attestation", "closure", "schema", "graph", "golden", "replay"]
HEAVY = ["securesystemslib", "sklearn", "skl2onnx", "pandas", "onnxruntime", "pyarrow", "scipy"]


def stored(folder: Path, data: bytes) -> Path:
    """A bundle file with these bytes."""
    path = folder / "x.candidate"
    path.write_bytes(data)
    return path


def test_a_good_bundle_is_verified_step_by_step(
    bundle_path: Path, trust: TrustPolicy, now: datetime, bundle_ref: BundleRef, builder: Signer
) -> None:
    """Every step is named, and the answer says which key it rests on."""
    result = verify(bundle_path, trust=trust, now=now)

    assert result.bundle == bundle_ref
    assert result.key_id == builder.key_id
    assert [check.name for check in result.checks] == STEPS
    assert {check.status for check in result.checks} == {"pass"}
    assert result.replay is not None
    assert result.replay.passed


def test_a_pinned_key_needs_no_trust_policy(bundle_path: Path, builder: Signer, now: datetime) -> None:
    """The simplest trust: this one key."""
    assert verify(bundle_path, public_key=builder.public_pem, now=now, replay=False).key_id == builder.key_id


def test_leaving_the_replay_out_is_said(bundle_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """A step that was not made is not passed."""
    result = verify(bundle_path, trust=trust, now=now, replay=False)

    assert (result.checks[-1].name, result.checks[-1].status) == ("replay", "skipped")
    assert result.replay is None


def test_trust_must_be_given_exactly_once(
    bundle_path: Path, trust: TrustPolicy, builder: Signer, now: datetime
) -> None:
    """Nobody verifies against nothing."""
    with pytest.raises(InputError, match="neither"):
        verify(bundle_path, now=now)
    with pytest.raises(InputError, match="both"):
        verify(bundle_path, trust=trust, public_key=builder.public_pem, now=now)


def test_a_signed_go_is_verified_with_the_bundle(
    bundle_path: Path, trust: TrustPolicy, now: datetime, signed_go: bytes
) -> None:
    """The decision is one more step."""
    result = verify(bundle_path, trust=trust, now=now, decision=signed_go, channel="tiny/prod")

    assert [check.name for check in result.checks] == [*STEPS, "decision"]
    assert result.decision is not None


def test_a_decision_needs_a_policy_that_says_who_decides(
    bundle_path: Path, builder: Signer, now: datetime, signed_go: bytes
) -> None:
    """A builder's key alone says nothing of approvers."""
    with pytest.raises(InputError, match="who may decide"):
        verify(bundle_path, public_key=builder.public_pem, now=now, decision=signed_go)


def test_an_unsigned_bundle_is_refused(content: Content, tmp_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """Stripping the attestation on the way does not help anybody."""
    with pytest.raises(RefusedError, match="no attestation"):
        verify(stored(tmp_path, pack(content)), trust=trust, now=now)


def test_a_stranger_beside_the_builder_does_no_harm(
    content: Content, tmp_path: Path, trust: TrustPolicy, now: datetime, builder: Signer, stranger: Signer
) -> None:
    """Anybody may add an attestation; only trusted ones count."""
    data = pack(content, tuple(attest(release(content), signer).to_bytes() for signer in (stranger, builder)))

    assert verify(stored(tmp_path, data), trust=trust, now=now, replay=False).key_id == builder.key_id


def test_a_threshold_of_two_needs_two_keys(
    content: Content, tmp_path: Path, now: datetime, builder: Signer, stranger: Signer
) -> None:
    """One signature is refused, also beside one about something else; two keys pass."""
    keys = RoleKeys(keys=(builder.public_pem, stranger.public_pem), threshold=2)
    trust = TrustPolicy(roles={"builder": keys})
    other = release_statement("other", VERSION, "sha256:" + "0" * 64)
    one = attest(release(content), builder).to_bytes()
    two = attest(release(content), stranger).to_bytes()
    off = attest(other, stranger).to_bytes()

    with pytest.raises(RefusedError, match="needs 2"):
        verify(stored(tmp_path, pack(content, (one,))), trust=trust, now=now, replay=False)
    with pytest.raises(RefusedError, match="needs 2"):
        verify(stored(tmp_path, pack(content, (one, off))), trust=trust, now=now, replay=False)
    result = verify(stored(tmp_path, pack(content, (one, two))), trust=trust, now=now, replay=False)
    assert result.key_id in {builder.key_id, stranger.key_id}


def test_a_revoked_bundle_is_refused(
    bundle_path: Path, trust: TrustPolicy, now: datetime, bundle_ref: BundleRef
) -> None:
    """Its digest on the list is enough."""
    revoking = trust.model_copy(update={"revoked": Revoked(digests=(bundle_ref.digest,))})

    with pytest.raises(RefusedError, match="revoked"):
        verify(bundle_path, trust=revoking, now=now)


def test_inspect_needs_no_key(bundle_path: Path, bundle_ref: BundleRef) -> None:
    """Whole and consistent is one question, who made it another."""
    with Archive.open(bundle_path) as archive:
        bundle = inspect(archive)

        assert bundle.ref == bundle_ref
        assert bundle.signature == tiny_signature()
        assert bundle.read("README.md") == b"# tiny\n"
        assert bundle.read("candidate.json") == bundle.manifest.to_bytes()
        assert bundle.model_size_bytes == len(tiny_recipe().model)
        with pytest.raises(InputError, match="no member"):
            bundle.read("nothing.txt")


def test_check_release_returns_the_key_that_signed(bundle_path: Path, builder: Signer, stranger: Signer) -> None:
    """Not the first of the list, the one that holds."""
    with Archive.open(bundle_path) as archive:
        bundle = inspect(archive)

        assert check_release(bundle, (stranger.public_pem, builder.public_pem)) == builder.key_id
        with pytest.raises(RefusedError):
            check_release(bundle, (stranger.public_pem,))


def test_a_loaded_bundle_stays_open_until_it_is_closed(bundle_path: Path, trust: TrustPolicy, now: datetime) -> None:
    """Serving reads from the file that was verified."""
    with load(bundle_path, trust=trust, now=now) as bundle:
        answers = bundle.session().run(golden_feeds(bundle))
        assert np.array_equal(answers["label"], golden_outputs(bundle)["label"])
    with pytest.raises(InputError, match="closed"):
        bundle.read(MODEL_PATH)


def test_a_refused_load_leaves_nothing_open(
    content: Content, tmp_path: Path, trust: TrustPolicy, now: datetime
) -> None:
    """No descriptor leaks from a loop that polls for a good bundle."""
    path = stored(tmp_path, pack(content))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(RefusedError):
            load(path, trust=trust, now=now)

    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_replay_tells_the_largest_difference(recipe: Recipe, builder: Signer, tmp_path: Path) -> None:
    """Golden outputs a hair off: seen, and within tolerance or not as the tolerance says."""
    path, difference = "golden/test_data_set_0/output_1.pb", 1e-4
    from candidate.adapters.graph.tensors import array_of, tensor_bytes

    tensor = tiny_signature().outputs[1]
    golden = array_of(recipe.members[path][1], tensor, rows=4, where=path)
    recipe.members[path] = ("golden", tensor_bytes(golden + np.float32(difference), tensor.name))
    for absolute, passed in ((1e-6, False), (1e-3, True)):
        loose = Tolerance(absolute=absolute, relative=0.0, rows=4).to_bytes()
        recipe.members["golden/tolerance.json"] = ("golden", loose)
        with Archive.open(stored(tmp_path, sealed(recipe, builder))) as archive:
            result = replay(inspect(archive))
        assert result.passed is passed
        assert result.max_difference == pytest.approx(difference, rel=0.01)


def test_golden_rows_may_be_missing_values(bundle_path: Path) -> None:
    """NaN in, NaN out: equal to itself here."""
    with Archive.open(bundle_path) as archive:
        bundle = inspect(archive)

        assert np.isnan(golden_outputs(bundle)["probabilities"]).any()
        assert replay(bundle).passed


def test_a_decision_comes_back_with_its_approver(
    signed_go: bytes, trust: TrustPolicy, now: datetime, approver: Signer, bundle_ref: BundleRef
) -> None:
    """Decision, digest of the attestation, and key."""
    signed = check_decision(signed_go, trust, now=now, channel="tiny/prod")

    assert signed.decision.challenger == bundle_ref
    assert signed.key_id == approver.key_id
    assert signed.data == signed_go


def test_a_no_go_can_be_checked_but_lets_nothing_through(
    bundle_path: Path, bundle_ref: BundleRef, trust: TrustPolicy, now: datetime, approver: Signer
) -> None:
    """A signed no-go is a decision too; verify asks for a go."""
    data = attest(decision_statement(go_decision(bundle_ref, outcome="no-go")), approver).to_bytes()

    assert check_decision(data, trust, now=now).decision.outcome == "no-go"
    with pytest.raises(RefusedError, match="no-go, not go"):
        verify(bundle_path, trust=trust, now=now, decision=data, replay=False)


def test_an_approver_of_staging_does_not_decide_for_production(
    signed_go: bytes, trust: TrustPolicy, now: datetime
) -> None:
    """The channel inside the decision counts, also when the caller names none."""
    staging = trust.roles["approver"].model_copy(update={"channels": ("*/staging",)})
    limited = trust.model_copy(update={"roles": {**trust.roles, "approver": staging}})

    with pytest.raises(RefusedError, match="not on tiny/prod"):
        check_decision(signed_go, limited, now=now)


def test_a_decision_for_one_channel_is_not_good_for_another(
    signed_go: bytes, trust: TrustPolicy, now: datetime
) -> None:
    """A verdict for production cannot be replayed elsewhere."""
    with pytest.raises(RefusedError, match="not for tiny/staging"):
        check_decision(signed_go, trust, now=now, channel="tiny/staging")


def test_a_decision_about_another_bundle_is_refused(
    bundle_path: Path, trust: TrustPolicy, now: datetime, approver: Signer
) -> None:
    """Same name, same version, other bytes."""
    other = BundleRef(name=NAME, version=VERSION, digest="sha256:" + "9" * 64)
    data = attest(decision_statement(go_decision(other)), approver).to_bytes()

    with pytest.raises(RefusedError, match="decided on"):
        verify(bundle_path, trust=trust, now=now, decision=data, replay=False)


def test_freshness_has_two_ends_and_an_age(bundle_ref: BundleRef, now: datetime) -> None:
    """Not before it was issued, not after it expires, not older than the policy allows."""
    decision = go_decision(bundle_ref)

    check_fresh(decision, now)
    check_fresh(decision, now - timedelta(minutes=64))
    with pytest.raises(RefusedError, match="future"):
        check_fresh(decision, now - timedelta(minutes=66))
    with pytest.raises(RefusedError, match="expired"):
        check_fresh(decision, now + timedelta(hours=23))
    with pytest.raises(RefusedError, match="more than 2 h ago"):
        check_fresh(decision, now + timedelta(hours=1), max_age_hours=2)


def test_an_altered_golden_output_is_found_on_this_host(
    recipe: Recipe, builder: Signer, tmp_path: Path, trust: TrustPolicy, now: datetime
) -> None:
    """Even when a trusted builder signed it: the graph does not answer that."""
    from candidate.adapters.graph.tensors import tensor_bytes

    flipped = tensor_bytes(np.array([1, 1, 1, 1], dtype=np.int64), "label")
    recipe.members["golden/test_data_set_0/output_0.pb"] = ("golden", flipped)
    path = stored(tmp_path, sealed(recipe, builder))

    assert verify(path, trust=trust, now=now, replay=False).replay is None
    with pytest.raises(IntegrityError, match="golden outputs differ"):
        verify(path, trust=trust, now=now)


def test_verifying_imports_nothing_that_serving_need_not_have() -> None:
    """The flow is cheap to import, and heavy libraries stay out."""
    heavy = ["cryptography", "jsonschema", "numpy", "onnx", *HEAVY]
    code = f"import sys, candidate.flows.verifying; print([n for n in {heavy!r} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_a_whole_verification_needs_neither_runtime_nor_training_libraries(bundle_path: Path, builder: Signer) -> None:
    """Without replay the runtime is not even imported."""
    heavy = ["jsonschema", *HEAVY]
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from candidate.flows.verifying import verify\n"
        f"verify(Path({str(bundle_path)!r}), public_key={builder.public_pem!r}, now=datetime.now(UTC), replay=False)\n"
        f"print([n for n in {heavy!r} if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("step", "path", "data"),
    [
        ("closure", "README.md", b"\x80\x04pickle"),
        ("schema", "signature.json", b"{}"),
        ("graph", "model/model.onnx", b"no graph"),
        ("golden", "golden/test_data_set_0/input_0.pb", b""),
    ],
)
def test_an_error_names_the_check_that_failed(
    recipe: Recipe, builder: Signer, tmp_path: Path, step: str, path: str, data: bytes
) -> None:
    """A machine reads the code, whatever the message says."""
    recipe.members[path] = (recipe.members[path][0], data)
    (tmp_path / "bad.candidate").write_bytes(sealed(recipe, builder))
    with pytest.raises(IntegrityError) as caught:
        verify(tmp_path / "bad.candidate", public_key=builder.public_pem, replay=False)
    assert caught.value.check == step


def test_a_stranger_fails_at_the_attestation(bundle_path: Path, stranger: Signer, tmp_path: Path) -> None:
    """Nothing inside is looked at; and what is no archive fails before that."""
    with pytest.raises(RefusedError) as refused:
        verify(bundle_path, public_key=stranger.public_pem)
    (tmp_path / "no.candidate").write_bytes(bytes(20_480))
    with pytest.raises(IntegrityError) as broken:
        load(tmp_path / "no.candidate", public_key=stranger.public_pem)
    assert (refused.value.check, broken.value.check) == ("attestation", "archive")
