"""What a project starts from: a build specification, a policy, a CI workflow, a trust policy."""

from collections.abc import Mapping, Sequence
from importlib import resources

from candidate.adapters.trust import check_trust
from candidate.documents.names import Host, RoleName, Service
from candidate.documents.trust import RoleKeys, TrustPolicy

ROLES: tuple[RoleName, ...] = ("builder", "approver", "promoter", "oncall", "overrider")

TRUST_FILE = "trust.toml"

SPEC = """# What to build. Every key is described in docs/formats.md; unknown keys are refused.
[bundle]
name = "my-model"
version = "1.0.0"
description = "One sentence for the model card."

[model]
# A file (model.onnx, model.joblib, model.skops), or an object in Python: module:object, script.py:object.
source = "train.py:fit"
float = "auto"          # 32 bits if parity holds, else 64, else refused

[data]
train = "train.parquet"
label = "label"
unit = "user_id"        # rows of one unit are not independent
feature_set = "v1"

[experiment]
seeds = { numpy = 0 }

[serving]
features = "features.toml"   # what serving promises to provide: [[features]] name, type, source
"""

POLICY = """# What must hold before a challenger replaces the champion. Fix it before the blackbox rows are opened.
alpha = 0.05            # error rate of each bound, and of all no-go claims together
power = 0.8
# For the very first release, and only then:
# champion = "none"
# rollback.target = "none"

[data]
label = "label"
unit = "user_id"

[optimizing]
metric = "log_loss"
require = "superior"    # or "non_inferior" with margin = ...
min_gain = 0.002

[[satisficing]]
metric = "latency_p99_ms"
max = 10.0

[[satisficing]]
metric = "size_bytes"
max = 50_000_000

# A guard must be proven unharmed for a go; a watch stops a release only on proven harm.
# [[slices.guard]]
# by = "country"
# margin = 0.01

[calibration]
max = 0.05

[checklist]
require = [
  "optimizing", "satisficing", "slices", "calibration", "availability",
  "skew", "reproducibility", "packaging", "rollback",
]
"""

TRUST = """# Whose keys may say what. Until it names keys, nobody is trusted. Make them and fill it in with:
#   candidate key new keys/builder.pem          (and approver, promoter, oncall)
#   candidate trust trust.toml --builder keys/builder.pub.pem --approver keys/approver.pub.pem \\
#     --promoter keys/promoter.pub.pem --oncall keys/oncall.pub.pem
distinct_roles = true         # a builder's key can never sign a decision
max_decision_age_hours = 24
required = ["release"]        # what verify demands; also: integrity, provenance, decision, vsa, ...

[roles]
"""

_CI: dict[Service, dict[str, str]] = {
    "github": {".github/workflows/candidate.yml": "github.yml"},
    "gitlab": {".gitlab-ci.yml": "gitlab.yml"},
    "none": {},
}
_DEPLOY: dict[Host, dict[str, str]] = {
    "systemd": {"deploy/my-model.service": "systemd.service"},
    "kubernetes": {"deploy/my-model.yaml": "kubernetes.yaml"},
}


def templates(ci: Service = "github", deploy: Host | None = None) -> dict[str, str]:
    """Return the files to start from: name to text.

    Args:
        ci: whose workflow is among them.
        deploy: what the server's unit is for, if one is wanted.
    """
    shipped = {**_CI[ci], **({} if deploy is None else _DEPLOY[deploy])}
    home = resources.files("candidate") / "templates"
    return {
        "candidate.toml": SPEC,
        "policy.toml": POLICY,
        TRUST_FILE: TRUST,
        **{name: (home / file).read_text(encoding="utf-8") for name, file in shipped.items()},
    }


def trust_of(keys: Mapping[RoleName, Sequence[str]]) -> TrustPolicy:
    """Return a trust policy in which each role has these public keys (PEM), one of which suffices.

    Raises:
        InputError: something is not a public key that can be used, or one key would hold two roles.
    """
    policy = TrustPolicy(roles={role: RoleKeys(keys=tuple(keys[role])) for role in ROLES if keys.get(role)})
    check_trust(policy, where="trust policy")
    return policy
