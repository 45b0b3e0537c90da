"""The floors hold: a module imports only from floors below its own, late imports included."""

import ast
import tomllib
from pathlib import Path

import pytest

import candidate

PACKAGE = Path(candidate.__file__).parent
ROOT = PACKAGE.parent

# Floors from the ground up. Inside a floor a tuple is an order (later may import earlier) and a
# set is a group of strangers.
DOCUMENTS = (
    "names",
    "shapes",
    "publickey",
    "identity",
    "where",
    "heuristic",
    "formula",
    "spec",
    "manifest",
    "oci",
    "statement",
    "trust",
    "entry",
    "view",
    "keyfile",
    "policy",
    "evidence",
    "decision",
    "ledger",
    "plan",
    "plotted",
    "predicates",
    "override",
    "results",
    "audited",
    "exploratory",
    "selftest",
    "benched",
    "upkeep",
    "slot",
    "compatible",
    "exported",
    "recalibrated",
    "skewed",
    "diagnosed",
)
ADAPTERS = (
    "keyless",
    "attest",
    "signers",
)  # the last makes attest's signers, who may be keyless; no other two know each other
JUDGEMENT = (
    "buckets",
    "histograms",
    "state",
    "auc",
    "intervals",
    "metrics",
    "classes",
    "numbers",
    "catalogue",
    "calibration",
    "latency",
    "curves",
    "sequential",
    "multiplicity",
    "drift",
    "errors",
    "holdout",
    "gate",
    "power",
    "noise",
    "channel",
    "slot",
    "compatibility",
)
FLOWS = (
    "progress",
    "replayer",
    "inspecting",
    "trusting",
    "deciding",
    "overridden",
    "cited",
    "verifying",
    "serving",
    "describing",
    "sourcing",
    "proving",
    "recording",
    "packing",
    "billing",
    "building",
    "slicing",
    "heuristics",
    "observing",
    "perturbing",
    "scored",
    "counting",
    "engines",
    "measuring",
    "holdouts",
    "contaminating",
    "timer",
    "timing",
    "latency",
    "profiling",
    "hdr",
    "benching",
    "entries",
    "registry",
    "returning",
    "releasing",
    "holding",
    "explaining",
    "fsck",
    "collecting",
    "mending",
    "outcomes",
    "comparing",
    "evaluating",
    "predicting",
    "fitting",
    "recalibrating",
    "skewing",
    "diagnosing",
    "showing",
    "slots",
    "landing",
    "transporting",
    "importing",
    "remeasuring",
    "auditing",
    "overriding",
    "rejudging",
    "selftesting",
    "planning",
    "reporting",
    "attaching",
    "reproducing",
    "starting",
    "compatible",
    "exporting",
)
CLI = (
    "options",
    "output",
    "quick",
    "exports",
    "recalibrating",
    "skewing",
    "bundles",
    "planning",
    "judging",
    "auditing",
    "releasing",
    "upkeep",
    "slots",
    "keys",
    "transport",
    "app",
)
FLOORS = ("errors", "canonical", "document", "documents", "fourth", "flows", "cli")
FOURTH = {"adapters", "judgement", "report"}


def modules() -> list[str]:
    """Every module of the package, dotted, without the package's own name."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths]


def imports_of(module: str) -> set[str]:
    """Every module of ours that a module imports, wherever in the file it does so."""
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    known = set(modules())
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}".removeprefix("candidate.")
                names.add(f"candidate.{whole}" if whole in known or f"{whole}.__init__" in known else str(node.module))
    return {name.removeprefix("candidate.") for name in names if name.startswith("candidate.")}


def floor_of(module: str) -> tuple[int, str, str]:
    """Floor number, wing and room of a module."""
    parts = [part for part in module.split(".") if part != "__init__"]
    wing = parts[0]
    floor = FLOORS.index("fourth" if wing in FOURTH else wing)
    return floor, wing, ".".join(parts[1:2])


def allowed(importer: str, imported: str) -> bool:
    """Whether one module may import the other."""
    floor, wing, room = floor_of(importer)
    other_floor, other_wing, other_room = floor_of(imported)
    if other_floor != floor:
        return other_floor < floor
    if wing != other_wing:
        return False
    if room == other_room or not other_room:
        return True
    orders = {
        "documents": DOCUMENTS,
        "adapters": ADAPTERS,
        "judgement": JUDGEMENT,
        "flows": FLOWS,
        "cli": CLI,
        "report": (
            "words",
            "channels",
            "spent",
            "planned",
            "disclosing",
            "parity",
            "text",
            "findings",
            "plots",
            "markdown",
            "junit",
            "sarif",
            "html",
            "moving",
            "compatible",
            "exported",
            "audits",
            "recalibrated",
            "skewed",
            "diagnosed",
        ),
    }
    order = orders.get(wing, ())
    return room in order and other_room in order and order.index(other_room) < order.index(room)


TOP = {"__init__", "__main__", "slot"}


@pytest.mark.parametrize("module", [name for name in modules() if name not in TOP])
def test_a_module_imports_only_from_floors_below(module: str) -> None:
    """A late import inside a function is an edge like any other."""
    if module == "cli.__init__":
        upward = imports_of(module) - {"cli.app", "cli.quick"}
    else:
        upward = {name for name in imports_of(module) if not allowed(module, name)}

    assert set() == upward


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("documents.policy", "judgement.gate"),
        ("judgement.gate", "adapters.archive"),
        ("adapters.archive", "adapters.attest"),
        ("adapters.attest", "adapters.signers"),
        ("report.text", "judgement.gate"),
        ("flows.verifying", "flows.comparing"),
        ("errors", "document"),
    ],
)
def test_the_rule_itself_refuses_what_it_should(importer: str, imported: str) -> None:
    """A law that nothing could break would prove nothing."""
    assert not allowed(importer, imported)


@pytest.mark.parametrize("module", modules())
def test_a_room_is_small_enough_to_know(module: str) -> None:
    """A module that passes 400 lines becomes a folder."""
    lines = len((PACKAGE / (module.replace(".", "/") + ".py")).read_text().splitlines())

    assert lines <= 400


def declared_imports() -> set[str]:
    """Import names that pyproject.toml lets the package use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {"scikit-learn": "sklearn", "protobuf": "google", "hdrhistogram": "hdrh"}
    requirements = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    plain = {
        requirement.split("[")[0].split("<")[0].split(">")[0].split("=")[0].strip() for requirement in requirements
    }
    return {names.get(name, name.replace("-", "_")) for name in plain}


def test_every_import_is_declared() -> None:
    """What is imported is in pyproject.toml, not there by luck of somebody else's dependency."""
    import sys

    used: set[str] = set()
    for module in modules():
        tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.split(".")[0])

    assert set() == used - set(sys.stdlib_module_names) - declared_imports() - {"candidate"}


def raised_names(module: str) -> set[str]:
    """Class names in the raise statements of a module."""
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            names.add(node.exc.func.id)
    return names


def test_every_error_is_a_leaf_of_the_one_tree() -> None:
    """Nothing raises the bare root or a builtin where a caller could meet it."""
    leaves = {"InputError", "StaleError", "IntegrityError", "RefusedError", "IndeterminateError", "UnavailableError"}
    # ValueError inside a pydantic validator becomes an InputError or IntegrityError; the rest are of Python itself.
    python = {"ValueError", "AttributeError", "AssertionError"}
    for module in modules():
        found = {name for name in raised_names(module) if name.endswith(("Error", "Exception"))}
        extra = found - leaves - python

        assert set() == extra, f"{module} raises {extra}"
        assert "ValueError" not in found or module.startswith("documents."), f"{module} raises ValueError"
