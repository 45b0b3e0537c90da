"""What ``candidate init`` writes works: linted by other people's tools, and its steps run as CI would run them."""

import configparser
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import candidate
from candidate.cli.app import run
from candidate.documents.names import Host, Service
from candidate.flows.starting import templates
from tests.cli.conftest import Project

ROOT = Path(candidate.__file__).parent.parent
PLACES: dict[Service, str] = {"github": ".github/workflows/candidate.yml", "gitlab": ".gitlab-ci.yml"}
UNITS: dict[Host, str] = {"systemd": "deploy/my-model.service", "kubernetes": "deploy/my-model.yaml"}
BASH = shutil.which("bash") or "/bin/bash"


def written(name: str) -> Any:
    """A template, parsed."""
    everything = {**templates("github", "systemd"), **templates("gitlab", "kubernetes")}
    return yaml.safe_load(everything[name])


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", [ROOT / "candidate/templates/github.yml", ROOT / ".github/workflows/ci.yml"]),
        ("github-actions", [ROOT / ".github/actions/gate/action.yml"]),
        ("gitlab-ci", [ROOT / "candidate/templates/gitlab.yml"]),
    ],
)
def test_they_have_the_form_that_their_service_reads(schema: str, files: list[Path]) -> None:
    """By the services' own schemas."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_cluster_would_take_the_deployment() -> None:
    """By the schema of its version, with no field that it does not know."""
    import kubernetes_validate

    kubernetes_validate.validate(written(UNITS["kubernetes"]), "1.33", strict=True)


def test_a_linter_of_workflows_finds_nothing() -> None:
    """No injection by an expression, no credential left behind, no permission too many."""
    linter = Path(sys.executable).with_name("zizmor")
    files = [ROOT / "candidate/templates/github.yml", ROOT / ".github"]
    done = subprocess.run(
        [linter, "--offline", "--config", ROOT / "zizmor.yml", *files], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    assert "No findings" in done.stdout


@pytest.mark.parametrize("ci", ["github", "gitlab", "none"])
def test_init_writes_for_whom_it_is_asked(tmp_path: Path, ci: Service) -> None:
    """The three files always, the workflow of one service, a unit where one is asked for; nothing twice."""
    assert run(["init", str(tmp_path), "--ci", ci, "--deploy", "kubernetes", "--quiet"]) == 0

    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    wanted = {PLACES[ci]} if ci in PLACES else set()
    assert found == {"candidate.toml", "policy.toml", "trust.toml", UNITS["kubernetes"]} | wanted
    assert run(["init", str(tmp_path), "--ci", ci, "--quiet"]) == 2


@pytest.fixture
def runner(project: Project, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the project on a machine that has ``candidate``, with the registry as of the first release."""
    for name in ("models.py", "policy.toml", "trust.toml", "train.parquet", "blackbox.parquet"):
        shutil.copy(project.root / name, tmp_path / name)
    shutil.copy(project.root / "v2.toml", tmp_path / "candidate.toml")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, call in (("candidate", f"{shlex.quote(sys.executable)} -P -m candidate"), ("python", sys.executable)):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert folder == tmp_path / "registry"
    return tmp_path


def said(project: Project) -> dict[str, str]:
    """What the template asks to be set, as CI has it."""
    keys = {role: (project.root / f"keys/{role}.pem").read_text() for role in ("builder", "approver", "promoter")}
    return {
        **{f"secrets.CANDIDATE_{role.upper()}_KEY": pem for role, pem in keys.items()},
        "secrets.CANDIDATE_PASSPHRASE": os.environ["CANDIDATE_KEY_PASSPHRASE"],
        "vars.CANDIDATE_CHANNEL": "small/prod",
        "vars.CANDIDATE_REGISTRY": "registry",
        "vars.CANDIDATE_BLACKBOX": "blackbox.parquet",
    }


def shell(script: str, here: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step as the service does: the first command that fails ends it."""
    clean = {name: value for name, value in os.environ.items() if name != "CANDIDATE_KEY_PASSPHRASE"}
    return subprocess.run(
        [BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=here,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class Workflow:
    """Runs the steps of a workflow or of an action, and keeps what they put out."""

    def __init__(self, here: Path, known: dict[str, str]) -> None:
        self.here, self.known = here, known
        self.temporary = here / "runner-temp"
        self.temporary.mkdir()
        self.summary = self.temporary / "summary.md"

    def filled(self, text: str) -> str:
        """A value with its expressions, all of them known."""
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: self.known[found[1]], text)

    def step(self, step: dict[str, Any]) -> int:
        """Run one step; its outputs are known from then on."""
        out = self.temporary / "output"
        out.write_text("")
        environment = {name: self.filled(value) for name, value in step.get("env", {}).items()}
        places = {"RUNNER_TEMP": self.temporary, "GITHUB_OUTPUT": out, "GITHUB_STEP_SUMMARY": self.summary}
        assert "${{" not in step["run"], "an expression in a script is code that somebody else may write"
        done = shell(step["run"], self.here, {**environment, **{name: str(path) for name, path in places.items()}})
        assert done.returncode in {0, 3, 4}, done.stderr
        for line in out.read_text().splitlines():
            name, _, value = line.partition("=")
            self.known[f"steps.{step['id']}.outputs.{name}"] = value
        return done.returncode


def test_the_workflow_judges_and_promotes(project: Project, runner: Path) -> None:
    """Build, compare, report and, once somebody approved, verify and promote; no key is left on the runner."""
    jobs = written(PLACES["github"])["jobs"]
    flow = Workflow(runner, said(project))
    for step in [step for step in jobs["gate"]["steps"] if "run" in step and step["name"] != "Install"]:
        assert flow.step(step) == 0
    for name, value in jobs["gate"]["outputs"].items():
        flow.known[f"needs.gate.outputs.{name}"] = flow.filled(value)
    for step in [step for step in jobs["promote"]["steps"] if "run" in step and step["name"] != "Install"]:
        assert flow.step(step) == 0

    found = json.loads((runner / "registry" / "refs" / "small" / "prod.json").read_text())
    assert found["champion"]["version"] == "2.0.0"
    assert flow.known["needs.gate.outputs.digest"] == found["champion"]["bundle"]
    assert "GO" in flow.summary.read_text()
    assert {path.suffix for path in (runner / "dist").glob("decision.*")} >= {".json", ".html", ".xml", ".sarif"}
    assert not list(flow.temporary.glob("*.pem"))
    assert jobs["promote"]["environment"] == "production"


def test_what_was_swapped_between_the_jobs_is_not_promoted(project: Project, runner: Path) -> None:
    """The second job holds what it fetched to the digest that the first one put out."""
    jobs = written(PLACES["github"])["jobs"]
    flow = Workflow(runner, {**said(project), "needs.gate.outputs.digest": "sha256:" + "0" * 64})
    flow.known["needs.gate.outputs.bundle"] = "small-2.0.0.candidate"
    (runner / "dist").mkdir()
    shutil.copy(project.bundle("2.0.0"), runner / "dist")
    shutil.copy(project.root / "decisions" / "go.json", runner / "dist" / "decision.json")
    verify = next(step for step in jobs["promote"]["steps"] if step.get("name", "").startswith("Verify"))

    with pytest.raises(AssertionError):
        flow.step(verify)


def test_the_action_says_how_it_ended(project: Project, runner: Path) -> None:
    """Its outputs are files that are there; a no-go fails the step, and the report is written all the same."""
    action = yaml.safe_load((ROOT / ".github/actions/gate/action.yml").read_text())
    inputs = {f"inputs.{name}": str(value.get("default", "")) for name, value in action["inputs"].items()}
    word = os.environ["CANDIDATE_KEY_PASSPHRASE"]
    keys = {f"inputs.{role}-key": str(project.root / f"keys/{role}.pem") for role in ("builder", "approver")}
    words = {f"inputs.{role}-passphrase": word for role in ("builder", "approver")}
    given = {"inputs.data": "blackbox.parquet", "inputs.champion": "registry#small/prod"}
    flow = Workflow(runner, {**inputs, **keys, **words, **given})
    (flow.temporary / "candidate" / "bin").mkdir(parents=True)
    (flow.temporary / "candidate" / "bin" / "candidate").symlink_to(runner / "tools" / "candidate")
    shutil.copy(project.root / "v3.toml", runner / "candidate.toml")
    shutil.copy(project.root / "policy.toml", runner / "policy.toml")
    _, build, compare = action["runs"]["steps"]

    assert flow.step(build) == 0
    assert flow.step(compare) == 3
    found = {name: flow.filled(value["value"]) for name, value in action["outputs"].items()}
    assert found["outcome"] == "no-go"
    assert all((runner / found[name]).is_file() for name in ("bundle", "decision", "junit", "sarif", "page"))
    assert "NO-GO" in flow.summary.read_text()


def test_the_pipeline_judges_and_promotes(project: Project, runner: Path) -> None:
    """The scripts of both jobs, with keys as files; the promotion waits for a person."""
    pipeline = written(PLACES["gitlab"])
    word = os.environ["CANDIDATE_KEY_PASSPHRASE"]
    environment = {"CANDIDATE_KEY_PASSPHRASE": word, "CANDIDATE_CHANNEL": "small/prod"}
    environment |= {"CANDIDATE_REGISTRY": "registry", "CANDIDATE_BLACKBOX": "blackbox.parquet"}
    for role in ("builder", "approver", "promoter"):
        environment[f"CANDIDATE_{role.upper()}_KEY"] = str(project.root / f"keys/{role}.pem")
    for job in ("gate", "promote"):
        lines = [*pipeline[job]["script"], *pipeline[job].get("after_script", [])]
        for line in [line for line in lines if "pip install" not in line]:
            done = shell(line, runner, environment)
            assert done.returncode == 0, (line, done.stderr)

    found = json.loads((runner / "registry" / "refs" / "small" / "prod.json").read_text())
    assert found["champion"]["version"] == "2.0.0"
    assert (runner / pipeline["gate"]["artifacts"]["reports"]["junit"]).is_file()
    assert pipeline["promote"]["rules"][0]["when"] == "manual"


def placed(words: list[str], runner: Path) -> list[str]:
    """A unit's command with this machine's folders, channel and server."""
    here = {
        "/var/lib/candidate/slot": "srv",
        "/slot/srv": "srv",
        "/srv/registry": "registry",
        "/registry": "registry",
        "my-model/prod": "small/prod",
    }
    found = [here.get(word, word) for word in words]
    if "--" in found:
        server = (
            "import os, pathlib; print(sorted(p.name for p in pathlib.Path(os.environ['CANDIDATE_RELEASE']).iterdir()))"
        )
        found = [*found[: found.index("--") + 1], "python", "-c", server]
    return [str(runner / "tools" / "candidate") if word == "candidate" else word for word in found]


@pytest.mark.parametrize("host", list(UNITS))
def test_a_host_follows_its_channel(runner: Path, host: Host) -> None:
    """The commands of the unit: install the champion, become the server, mark the release good."""
    if host == "systemd":
        unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
        unit.optionxform = str  # type: ignore[assignment, method-assign]  # as its documentation has it
        unit.read_string(templates(deploy="systemd")[UNITS["systemd"]])
        service = unit["Service"]
        sync = shlex.split(service["ExecStartPre"].removeprefix("-/usr/bin/env "))
        serve = shlex.split(service["ExecStart"].removeprefix("/usr/bin/env "))
        after = shlex.split(service["ExecStartPost"])[-1]
    else:
        pod = written(UNITS["kubernetes"])["spec"]["template"]["spec"]
        sync, serve = (pod[kind][0]["command"] for kind in ("initContainers", "containers"))
        after = pod["containers"][0]["lifecycle"]["postStart"]["exec"]["command"][-1]
    assert "candidate slot mark-good" in after

    for words in (sync, serve):
        done = shell(shlex.join(placed(words, runner)), runner, {})
        assert done.returncode == 0, done.stderr
    assert "bundle.candidate" in done.stdout
    assert shell("candidate slot mark-good srv && candidate slot status srv", runner, {}).returncode == 0
