"""What small documents say of themselves."""

import hashlib
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from candidate.documents.identity import Identified, party_id
from candidate.documents.manifest import BundleManifest, Dependency
from candidate.documents.policy.robust import RobustnessRule
from candidate.documents.recalibrated import CALIBRATION_DATA, calibration_data
from candidate.documents.selftest import SelfTest, Trial
from candidate.documents.spec import DataSection, ModelSection
from candidate.documents.upkeep import Damage, Fsck

Model = TypeVar("Model", bound=BaseModel)
DIGEST = "sha256:" + "a" * 64


def partly(kind: type[Model], **fields: Any) -> Model:
    """A document of which only these fields matter."""
    return kind.model_construct(**fields)


def test_an_identity_is_counted_by_issuer_and_subject() -> None:
    """The digest of the JSON text of both; the root is not part of who it is."""
    who = Identified("https://issuer.example", "workflow@main", root="{}")

    assert who.id == hashlib.sha256(b'["https://issuer.example","workflow@main"]').hexdigest()
    assert who == Identified("https://issuer.example", "workflow@main")
    assert party_id(who) == who.id


@pytest.mark.parametrize("changes", [{}, {"noise": 0.1, "swap": True}])
def test_a_robustness_rule_changes_one_thing(changes: dict[str, Any]) -> None:
    """None and two are refused."""
    with pytest.raises(ValueError, match="give exactly one of"):
        RobustnessRule(column="distance", max_failures=0.01, **changes)


def test_calibration_rows_are_found_among_the_dependencies() -> None:
    """By their name; a bundle that was not recalibrated has none."""
    train = partly(Dependency, name="training-data", digest={"sha256": "b" * 64})
    rows = partly(Dependency, name=CALIBRATION_DATA, digest={"sha256": "a" * 64})

    assert calibration_data(partly(BundleManifest, dependencies=(train, rows))) == DIGEST
    assert calibration_data(partly(BundleManifest, dependencies=(train,))) is None


def test_a_self_test_holds_if_every_trial_does() -> None:
    """One broken promise is enough."""
    kept, broken = (partly(Trial, held=held) for held in (True, False))

    assert partly(SelfTest, trials=(kept, kept)).held
    assert not partly(SelfTest, trials=(kept, broken)).held


def test_notices_are_no_damage() -> None:
    """A registry with notices alone is sound."""
    notice = Damage(severity="notice", where="tmp", what="left over", hint="gc")
    damage = notice.model_copy(update={"severity": "damage"})

    assert partly(Fsck, findings=(notice,)).sound
    assert not partly(Fsck, findings=(notice, damage)).sound


@pytest.mark.parametrize(
    ("source", "sources"), [("model.skops", ("model.skops",)), (("a.onnx", "b.onnx"), ("a.onnx", "b.onnx"))]
)
def test_an_ensemble_has_several_sources(source: Any, sources: tuple[str, ...]) -> None:
    """One file, or each of several."""
    assert partly(ModelSection, source=source).sources == sources


@pytest.mark.parametrize(("label", "labels"), [(None, ()), ("late", ("late",)), (("x", "y"), ("x", "y"))])
def test_there_are_none_one_or_several_labels(label: Any, labels: tuple[str, ...]) -> None:
    """Of a transformer, of most, of a multilabel model."""
    assert partly(DataSection, label=label).labels == labels
