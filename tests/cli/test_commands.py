"""Every command, by its exit code and the one JSON document it prints."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer

import candidate
from candidate.cli.app import app, run

Answer = Callable[..., tuple[int, dict[str, Any]]]
CHECKLIST = 9
HERE = ("--registry", "registry", "--channel", "small/prod")
AGAINST = ("--champion", "registry#small/prod", "--policy", "policy.toml", "--data", "blackbox.parquet")


def test_verify_says_what_was_checked(answer: Answer, project: Any) -> None:
    """A good bundle is 0, with every check named."""
    code, found = answer("verify", project.bundle("1.0.0"), "--trust", "trust.toml")

    assert code == 0
    assert found["kind"] == "candidate.verification"
    assert {check["name"] for check in found["checks"]} >= {"archive", "attestation", "closure", "schema", "replay"}


def test_verify_takes_one_public_key(answer: Answer, project: Any) -> None:
    """A pinned builder's key suffices; an approver's key is refused with 7."""
    builder = answer("verify", project.bundle("1.0.0"), "--public-key", "keys/builder.pub.pem")
    approver = answer("verify", project.bundle("1.0.0"), "--public-key", "keys/approver.pub.pem")

    assert builder[0] == 0
    assert (approver[0], approver[1]["kind"]) == (7, "error")


def test_verify_without_trust_is_a_usage_error(answer: Answer, project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No option whose absence weakens verification: without keys there is no answer."""
    shutil.copy(project.bundle("1.0.0"), project.root / "decisions" / "b.candidate")
    monkeypatch.chdir(project.root / "decisions")
    code, found = answer("verify", "b.candidate")

    assert code == 2
    assert "trust" in found["message"]


def test_a_flipped_byte_is_refused_everywhere(answer: Answer, project: Any, tmp_path: Path) -> None:
    """Verify, show, unpack, evaluate, predict and compare all refuse a tampered bundle with 6 or 7."""
    data = bytearray(project.bundle("2.0.0").read_bytes())
    data[-20_000] ^= 4
    bad = tmp_path / "bad.candidate"
    bad.write_bytes(data)
    codes = {
        "verify": answer("verify", bad, "--trust", "trust.toml")[0],
        "show": answer("show", bad)[0],
        "unpack": answer("unpack", bad, tmp_path / "out")[0],
        "evaluate": answer("evaluate", bad, "--data", "blackbox.parquet")[0],
        "predict": answer("predict", bad, "blackbox.parquet", "--out", tmp_path / "p.parquet")[0],
        "compare": answer("compare", bad, *AGAINST)[0],
    }

    assert set(codes.values()) <= {6, 7}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.candidate"]


def test_the_go_has_its_nine_lines(answer: Answer) -> None:
    """``show`` prints the decision with everything that it binds."""
    code, found = answer("show", "decisions/go.json")

    assert code == 0
    assert found["outcome"] == "go"
    assert len(found["checklist"]) == CHECKLIST
    assert all(item["status"] == "pass" for item in found["checklist"])
    assert found["rollback_target"] == found["champion"]
    assert {"findings", "challenger", "policy", "evidence"} <= found.keys()


def test_a_hidden_regression_is_a_no_go_that_names_its_slice(answer: Answer) -> None:
    """The broken model leaves by 3, and the failing finding is the slice that broke."""
    code, found = answer("compare", "bundles/small-3.0.0.candidate", *AGAINST)
    failed = [finding["slice"] for finding in found["findings"] if finding["status"] == "fail"]

    assert code == 3
    assert "city=oslo" in failed


def test_too_few_rows_are_inconclusive_and_counted(answer: Answer) -> None:
    """Ninety rows leave by 4, and an open finding says how many it needs."""
    few = (*AGAINST[:-1], "few.parquet")
    code, found = answer("compare", "bundles/small-2.0.0.candidate", *few)
    needed = [finding["n_needed"] for finding in found["findings"] if finding["status"] == "open"]

    assert code == 4
    assert any(count is not None and count > 90 for count in needed), [
        (f["slice"], f["status"], f["n_needed"], f["why"]) for f in found["findings"]
    ]


def test_a_decision_is_never_overwritten(answer: Answer, project: Any) -> None:
    """Writing to a name that exists is refused before the long work, and nothing changes."""
    before = (project.root / "decisions" / "go.json").read_bytes()
    code, _ = answer("compare", "bundles/small-3.0.0.candidate", *AGAINST, "--out", "decisions", "--name", "go")

    assert code == 2
    assert before == (project.root / "decisions" / "go.json").read_bytes()


def test_audit_recomputes_and_notices(answer: Answer, project: Any, tmp_path: Path) -> None:
    """The verdict follows from its evidence; evidence of another decision, or an altered file, is 6."""
    good = answer("audit", "decisions/go.json", "--trust", "trust.toml")
    other = answer("audit", "decisions/go.json", "--evidence", "decisions/first.evidence")
    spoiled = tmp_path / "evidence"
    shutil.copytree(project.root / "decisions" / "go.evidence", spoiled)
    state = bytearray((spoiled / "state.npy").read_bytes())
    state[-9] ^= 1
    (spoiled / "state.npy").write_bytes(state)

    assert (good[0], good[1]["outcome"]) == (0, "go")
    assert other[0] == 6
    assert answer("audit", "decisions/go.json", "--evidence", spoiled)[0] == 6


def test_promote_then_roll_back_then_everything_is_on_record(answer: Answer, project: Any) -> None:
    """The go is promoted once, repeating it changes nothing, and rollback needs no digest."""
    promote = ("promote", "bundles/small-2.0.0.candidate", "--decision", "decisions/go.json", *HERE)
    wrong_key = answer(*promote, "--key", "keys/builder.pem")
    first = answer(*promote, "--key", "keys/promoter.pem")
    again = answer(*promote, "--key", "keys/promoter.pem")
    back = answer("rollback", *HERE, "--key", "keys/oncall.pem", "--reason", "INC-1")
    none_left = answer("rollback", *HERE, "--key", "keys/oncall.pem", "--reason", "INC-2")
    history = answer("history", "--registry", "registry")[1]
    shutil.rmtree(project.root / "registry" / "refs")
    status = answer("status", "--registry", "registry")[1]

    assert wrong_key[0] == 7
    assert (first[0], first[1]["already"], again[0], again[1]["already"]) == (0, False, 0, True)
    assert (back[0], back[1]["to"]["version"]) == (0, "1.0.0")
    assert none_left[0] == 9
    assert [entry["action"] for entry in history["entries"]] == ["promote", "promote", "rollback"]
    assert status["channels"][0]["champion"]["version"] == "1.0.0"


@pytest.mark.parametrize("decision", ["decisions/first.json", "policy.toml", "bundles/small-1.0.0.candidate"])
def test_promote_refuses_what_is_no_decision_for_this(answer: Answer, decision: str) -> None:
    """A used decision, a policy and a bundle are no go; nothing is written."""
    before = answer("status", "--registry", "registry")[1]["head"]
    code, found = answer(
        "promote", "bundles/small-2.0.0.candidate", "--decision", decision, *HERE, "--key", "keys/promoter.pem"
    )

    assert code in {6, 7} or (code == 0 and found["already"])
    assert answer("status", "--registry", "registry")[1]["head"] == before


def test_unpack_and_predict_and_evaluate_and_bench(answer: Answer, project: Any, tmp_path: Path) -> None:
    """The rest of a bundle's commands do what they say."""
    bundle = project.bundle("2.0.0")
    unpacked = answer("unpack", bundle, tmp_path / "tree")
    predicted = answer("predict", bundle, "few.parquet", "--out", tmp_path / "p.parquet", "--trust", "trust.toml")
    evaluated = answer("evaluate", bundle, "--data", "blackbox.parquet")
    benched = answer("bench", bundle, "--against", project.bundle("1.0.0"), "--rounds", "30", "--calls", "10")
    flags = ("--budget", "0.5", "--rate", "500", "--offline", "--idle", "0.01", "--vcpu-hour", "0.04")
    extras = answer("bench", bundle, *flags)

    assert unpacked[0] == 0
    assert (tmp_path / "tree" / "model" / "model.onnx").is_file()
    assert (predicted[0], predicted[1]["rows"], predicted[1]["attested"]) == (0, 90, True)
    assert pq.read_table(tmp_path / "p.parquet").column_names == ["prediction", "score"]
    assert evaluated[1]["slices"][0]["rows"] == 4000
    assert benched[1]["latency_p99_ratio"]["value"] > 0
    assert (benched[1]["stopped"], benched[1]["rounds"], benched[1]["calls"]) == ("rounds", 30, 10)
    assert extras[1]["stopped"] in {"budget", "precise"}
    one = extras[1]["results"][0]
    assert [batch["rows"] for batch in one["offline"]] == [1, 16, 256, 4096]
    assert one["open_loop"]["latency"]["latency_p99_ms"]["n"] == 2528
    assert one["cost"]["per_thousand"]["value"] > 0
    assert one["memory"]["peak_bytes"] > one["memory"]["before_bytes"] > 0
    assert answer("bench", bundle, "--budget", "-1")[0] == 2
    assert answer("bench", bundle, "--vcpu-hour", "1", "--utilisation", "2")[0] == 2
    assert answer("unpack", bundle, tmp_path / "tree")[0] == 2


def test_predictions_go_to_stdout_as_json_lines(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --out every row is one line of JSON."""
    capsys.readouterr()
    code = project.run("predict", project.bundle("2.0.0"), "few.parquet")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert code == 0
    assert len(lines) == 90
    assert set(lines[0]) == {"prediction", "score"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "nowhere.candidate", *AGAINST), "nowhere.candidate"),
        (("compare", "bundles/small-2.0.0.candidate", *AGAINST[:-1], "train.toml"), "train.toml"),
        (("compare", "bundles/small-2.0.0.candidate", "--champion", "none", *AGAINST[2:]), "champion"),
        (
            ("compare", "bundles/small-2.0.0.candidate", "--champion", "registry#small/staging", *AGAINST[2:]),
            "no champion",
        ),
        (("build", "nowhere.toml"), "nowhere.toml"),
        (("status", "--registry", "nowhere"), "no registry"),
        (("status", "--registry", "registry", "--channel", "small/nowhere"), "small/nowhere"),
        (("rollback", *HERE, "--key", "keys/oncall.pem", "--reason", " "), "reason"),
        (("rollback", *HERE, "--reason", "x"), "signed"),
        (("show", "models.py"), "models.py"),
        (("audit", "policy.toml"), "policy.toml"),
        (("evaluate", "bundles/small-2.0.0.candidate", "--data", "policy.toml"), "policy.toml"),
        (("key", "show", "policy.toml"), ""),
        (("registry", "new", "registry", "--trust", "trust.toml"), "exists"),
        (("verify", "bundles/small-2.0.0.candidate", "--trust", "policy.toml"), "policy.toml"),
        (("nonsense",), "nonsense"),
        (("verify",), "BUNDLE"),
    ],
)
def test_a_users_mistake_is_told_with_its_place(answer: Answer, arguments: tuple[str, ...], words: str) -> None:
    """Bad input leaves by 2 (6 for a broken file) with what, where and what to do; never a traceback."""
    code, found = answer(*arguments)

    assert code in {2, 6}
    assert found["kind"] == "error"
    assert words in found["message"] + found["where"]


def test_init_writes_a_start_that_parses(answer: Answer, tmp_path: Path) -> None:
    """The templates are a valid specification and a valid policy, and a second init changes nothing."""
    from candidate.documents.policy import Policy
    from candidate.documents.spec import BuildSpec

    code, found = answer("init", tmp_path / "new")
    BuildSpec.from_toml((tmp_path / "new" / "candidate.toml").read_text(), where="candidate.toml")
    Policy.from_toml((tmp_path / "new" / "policy.toml").read_text(), where="policy.toml")

    assert code == 0
    assert len(found["files"]) == 4
    assert (
        answer("verify", "x.candidate", "--trust", tmp_path / "new" / "trust.toml")[1]["message"] == "no role has a key"
    )
    assert answer("init", tmp_path / "new")[0] == 2
    roles = [word for role in ("builder", "approver", "promoter") for word in (f"--{role}", f"keys/{role}.pub.pem")]
    assert answer("trust", tmp_path / "new" / "trust.toml", *roles)[0] == 0
    assert answer("trust", tmp_path / "new" / "trust.toml", *roles)[0] == 2


def test_keys_are_private_and_never_overwritten(answer: Answer, project: Any) -> None:
    """A private key has mode 0600 and is encrypted; making it again is refused."""
    path = project.root / "keys" / "builder.pem"

    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    assert answer("key", "new", path)[0] == 2
    assert answer("key", "show", path)[1]["key_id"] == answer("key", "show", "keys/builder.pub.pem")[1]["key_id"]


def test_a_wrong_passphrase_is_refused(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase comes from the environment; a wrong one leaves by 7."""
    monkeypatch.setenv("CANDIDATE_KEY_PASSPHRASE", "wrong")

    assert answer("rollback", *HERE, "--key", "keys/oncall.pem", "--reason", "x")[0] == 7


def imports(*arguments: str, folder: Path | None = None) -> set[str]:
    """Top-level modules that a command imports, in a process of its own."""
    program = (
        "import sys\nfrom candidate.cli.app import run\n"
        f"code = run({list(arguments)!r})\n"
        "sys.stderr.write('\\nMODULES ' + ' '.join(sorted({n.split('.')[0] for n in sys.modules})))\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True, cwd=folder
    )
    return set(done.stderr.split("MODULES ")[1].split())


def test_commands_import_only_what_they_need(project: Any) -> None:
    """``--help`` imports nothing heavy; ``verify`` no training library; ``audit`` no ONNX and no Arrow."""
    training = {"sklearn", "skl2onnx", "pandas", "joblib", "skops", "onnxmltools", "matplotlib"}
    heavy = training | {"numpy", "scipy", "onnx", "onnxruntime", "pyarrow", "cryptography", "jsonschema", "rfc8785"}
    bundle = str(project.bundle("1.0.0"))

    assert not imports("--help") & heavy
    assert not imports("verify", bundle, "--trust", "trust.toml") & (training | {"scipy", "pyarrow"})
    assert not imports("verify", bundle, "--trust", "trust.toml", "--no-replay") & (training | {"onnxruntime", "scipy"})
    assert not imports("audit", "go.json", folder=project.root / "decisions") & (
        training | {"onnx", "onnxruntime", "pyarrow", "cryptography"}
    )
    assert not imports("status", "--registry", "registry") & (training | {"onnx", "onnxruntime", "pyarrow", "numpy"})


def test_quiet_leaves_the_exit_code_to_speak(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command takes --quiet: nothing on stdout or stderr but an error."""
    capsys.readouterr()
    code = project.run("verify", project.bundle("1.0.0"), "--quiet")
    nothing = capsys.readouterr()
    refused = project.run("verify", "models.py", "--quiet")
    told = capsys.readouterr()

    assert (code, nothing.out, nothing.err) == (0, "", "")
    assert (refused, told.out) == (6, "")
    assert told.err.startswith("error: ")


def test_every_command_takes_json_and_quiet() -> None:
    """The two options that a script needs are everywhere."""
    group = typer.main.get_command(app)
    commands = [group]
    without = []
    while commands:
        command = commands.pop()
        inner = getattr(command, "commands", {})
        commands.extend(inner.values())
        options = {option for parameter in command.params for option in parameter.opts}
        if not inner and not {"--json", "--quiet"} <= options:
            without.append(command.name)

    assert without == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the package's own."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"candidate {candidate.__version__}\n"


def test_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit codes are part of ``--help``."""
    assert run(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())

    for words in (
        "3 no-go",
        "4 inconclusive",
        "5 stale",
        "6 integrity",
        "7 refused",
        "8 indeterminate",
        "9 unavailable",
    ):
        assert words in text
