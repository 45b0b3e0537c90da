"""Decide whether a trained model may replace the one in production, and prove it.

The whole of it in five calls, each with a command of the same name::

    built = candidate.build("candidate.toml", signer=builder)
    candidate.verify(built.path, trust=trust)
    found = candidate.compare(built.path, champion="registry#late-flights/prod",
                              policy="policy.toml", data="blackbox.parquet", signer=approver)
    candidate.promote(built.path, decision=found.signed, registry=registry,
                      channel="late-flights/prod", signer=promoter)
    candidate.rollback(registry=registry, channel="late-flights/prod", reason="INC-42", signer=oncall)

Names are looked up when they are first used, so that importing this package imports nothing heavy.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from candidate import slot as slot
    from candidate.adapters.attest import Signer as Signer
    from candidate.adapters.attest import load_signer as load_signer
    from candidate.adapters.attest import new_key as new_key
    from candidate.adapters.signers import key_file as key_file
    from candidate.adapters.signers import key_info as key_info
    from candidate.adapters.signers import keyless_signer as keyless_signer
    from candidate.adapters.signers import open_signer as open_signer
    from candidate.adapters.signers import write_key_file as write_key_file
    from candidate.adapters.transport.reference import Credentials as Credentials
    from candidate.adapters.trust import read_trust as read_trust
    from candidate.adapters.trust import write_trust as write_trust
    from candidate.documents.decision import Decision as Decision
    from candidate.documents.evidence import Evidence as Evidence
    from candidate.documents.names import RoleName as RoleName
    from candidate.documents.policy import Policy as Policy
    from candidate.documents.spec import BuildSpec as BuildSpec
    from candidate.documents.trust import TrustPolicy as TrustPolicy
    from candidate.errors import CandidateError as CandidateError
    from candidate.errors import IndeterminateError as IndeterminateError
    from candidate.errors import InputError as InputError
    from candidate.errors import IntegrityError as IntegrityError
    from candidate.errors import RefusedError as RefusedError
    from candidate.errors import StaleError as StaleError
    from candidate.errors import UnavailableError as UnavailableError
    from candidate.flows.attaching import attach as attach
    from candidate.flows.auditing import audit as audit
    from candidate.flows.benching import Prices as Prices
    from candidate.flows.benching import bench as bench
    from candidate.flows.building import build as build
    from candidate.flows.collecting import gc as gc
    from candidate.flows.comparing import Comparison as Comparison
    from candidate.flows.comparing import compare as compare
    from candidate.flows.compatible import compatibility as compatibility
    from candidate.flows.diagnosing import diagnose as diagnose
    from candidate.flows.evaluating import evaluate as evaluate
    from candidate.flows.explaining import why as why
    from candidate.flows.exporting import export as export
    from candidate.flows.fsck import fsck as fsck
    from candidate.flows.holding import hold as hold
    from candidate.flows.holding import quarantine as quarantine
    from candidate.flows.holding import release as release
    from candidate.flows.holding import unhold as unhold
    from candidate.flows.importing import import_bundle as import_bundle
    from candidate.flows.mending import mirror as mirror
    from candidate.flows.mending import repair as repair
    from candidate.flows.overriding import Overridden as Overridden
    from candidate.flows.overriding import override as override
    from candidate.flows.planning import calibrate as calibrate
    from candidate.flows.planning import plan as plan
    from candidate.flows.planning import read_plan as read_plan
    from candidate.flows.predicting import predict as predict
    from candidate.flows.recalibrating import recalibrate as recalibrate
    from candidate.flows.rejudging import rejudge as rejudge
    from candidate.flows.releasing import Registry as Registry
    from candidate.flows.releasing import promote as promote
    from candidate.flows.releasing import rollback as rollback
    from candidate.flows.reporting import Rendered as Rendered
    from candidate.flows.reporting import render as render
    from candidate.flows.reproducing import reproduce as reproduce
    from candidate.flows.selftesting import selftest as selftest
    from candidate.flows.selftesting import selftest_statement as selftest_statement
    from candidate.flows.selftesting import signed_selftest as signed_selftest
    from candidate.flows.serving import Model as Model
    from candidate.flows.serving import Predictions as Predictions
    from candidate.flows.serving import ServingLog as ServingLog
    from candidate.flows.serving import load as load
    from candidate.flows.showing import show as show
    from candidate.flows.showing import unpack as unpack
    from candidate.flows.skewing import skew as skew
    from candidate.flows.slots import Slot as Slot
    from candidate.flows.starting import trust_of as trust_of
    from candidate.flows.transporting import pull as pull
    from candidate.flows.transporting import push as push
    from candidate.flows.verifying import Bundle as Bundle
    from candidate.flows.verifying import verify as verify

__version__ = "0.1.0"

_HOMES = {
    "candidate.adapters.attest": ("Signer", "load_signer", "new_key"),
    "candidate.adapters.signers": ("key_file", "key_info", "keyless_signer", "open_signer", "write_key_file"),
    "candidate.adapters.transport.reference": ("Credentials",),
    "candidate.adapters.trust": ("read_trust", "write_trust"),
    "candidate.documents.decision": ("Decision",),
    "candidate.documents.evidence": ("Evidence",),
    "candidate.documents.policy": ("Policy",),
    "candidate.documents.spec": ("BuildSpec",),
    "candidate.documents.names": ("RoleName",),
    "candidate.documents.trust": ("TrustPolicy",),
    "candidate.errors": (
        "CandidateError",
        "IndeterminateError",
        "InputError",
        "IntegrityError",
        "RefusedError",
        "StaleError",
        "UnavailableError",
    ),
    "candidate.flows.attaching": ("attach",),
    "candidate.flows.auditing": ("audit",),
    "candidate.flows.building": ("build",),
    "candidate.flows.collecting": ("gc",),
    "candidate.flows.comparing": ("Comparison", "compare"),
    "candidate.flows.planning": ("calibrate", "plan", "read_plan"),
    "candidate.flows.compatible": ("compatibility",),
    "candidate.flows.evaluating": ("evaluate",),
    "candidate.flows.explaining": ("why",),
    "candidate.flows.exporting": ("export",),
    "candidate.flows.fsck": ("fsck",),
    "candidate.flows.holding": ("hold", "quarantine", "release", "unhold"),
    "candidate.flows.importing": ("import_bundle",),
    "candidate.flows.benching": ("Prices", "bench"),
    "candidate.flows.mending": ("mirror", "repair"),
    "candidate.flows.overriding": ("Overridden", "override"),
    "candidate.flows.predicting": ("predict",),
    "candidate.flows.recalibrating": ("recalibrate",),
    "candidate.flows.diagnosing": ("diagnose",),
    "candidate.flows.skewing": ("skew",),
    "candidate.flows.rejudging": ("rejudge",),
    "candidate.flows.releasing": ("Registry", "promote", "rollback"),
    "candidate.flows.reporting": ("Rendered", "render"),
    "candidate.flows.reproducing": ("reproduce",),
    "candidate.flows.selftesting": ("selftest", "selftest_statement", "signed_selftest"),
    "candidate.flows.serving": ("Model", "Predictions", "ServingLog", "load"),
    "candidate.flows.showing": ("show", "unpack"),
    "candidate.flows.slots": ("Slot",),
    "candidate.flows.starting": ("trust_of",),
    "candidate.flows.transporting": ("pull", "push"),
    "candidate.flows.verifying": ("Bundle", "verify"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - computed, so that a name stands in one place only


def __getattr__(name: str) -> object:
    """Import the home of a public name when it is first asked for."""
    if name == "slot":  # a module of its own: candidate.slot.open
        return importlib.import_module("candidate.slot")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'candidate' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "__version__"]
