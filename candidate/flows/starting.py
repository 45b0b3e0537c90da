"""What a project starts from: a build specification, a policy, a CI workflow, a trust policy."""

from collections.abc import Mapping, Sequence

from candidate.adapters.trust import check_trust
from candidate.documents.names import RoleName
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

WORKFLOW = """# Builds a bundle and compares it with the champion; a no-go or an inconclusive verdict fails the job.
name: candidate
on: [pull_request]
permissions:
  contents: read
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: python -m pip install "candidate[build]"
      - run: candidate build candidate.toml --out dist --key "$KEY"
        env:
          KEY: ${{ vars.CANDIDATE_BUILDER_KEY_FILE }}
          CANDIDATE_KEY_PASSPHRASE: ${{ secrets.CANDIDATE_BUILDER_PASSPHRASE }}
      - run: |
          candidate compare dist/*.candidate --champion "registry#my-model/prod" \\
            --policy policy.toml --data blackbox.parquet --trust trust.toml --key "$KEY" --out dist
        env:
          KEY: ${{ vars.CANDIDATE_APPROVER_KEY_FILE }}
          CANDIDATE_KEY_PASSPHRASE: ${{ secrets.CANDIDATE_APPROVER_PASSPHRASE }}
      - if: always()
        run: candidate report dist/decision.json >> "$GITHUB_STEP_SUMMARY"
"""


def templates() -> dict[str, str]:
    """Return the files to start from: name to text."""
    return {
        "candidate.toml": SPEC,
        "policy.toml": POLICY,
        TRUST_FILE: TRUST,
        ".github/workflows/candidate.yml": WORKFLOW,
    }


def trust_of(keys: Mapping[RoleName, Sequence[str]]) -> TrustPolicy:
    """Return a trust policy in which each role has these public keys (PEM), one of which suffices.

    Raises:
        InputError: something is not a public key that can be used, or one key would hold two roles.
    """
    policy = TrustPolicy(roles={role: RoleKeys(keys=tuple(keys[role])) for role in ROLES if keys.get(role)})
    check_trust(policy, where="trust policy")
    return policy
