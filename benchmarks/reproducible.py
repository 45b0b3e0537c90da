"""Whether the same inputs give the same file, byte for byte and signature included, however a build is run.

    python -m benchmarks.reproducible

Every row builds in a process of its own from a copy of the inputs (a checkout with one commit, a
training table and a model that is trained on it) and differs from the first row in one respect. What this machine
cannot vary is said, not left out. Ends with 1 if any file differs.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

NOBODY = 65534
YEAR = 365 * 86400
SPEC = """
[bundle]
name = "small"
version = "1.0.0"
description = "Für alle, die zu spät kommen."
licenses = ["MIT"]
[model]
source = "models.py:{function}"
[data]
train = "train.parquet"
label = "late"
unit = "user"
[experiment]
seeds = {{ numpy = 0 }}
params = {{ depth = 3, rate = 0.1 }}
[serving]
features = [{{ name = "age", type = "number", source = "form" }}]
[members]
doc = ["notes/b.txt", "notes/a.txt"]
"""
MODELS = '''
"""What the benchmark builds; each is trained anew in every process."""
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def fitted(train, model):
    prepare = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
        ("city", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
    ])
    return make_pipeline(prepare, model).fit(train[["age", "income", "city"]], train["late"])


def line(train):
    return fitted(train, LogisticRegression())


def forest(train):
    return fitted(train, RandomForestClassifier(n_estimators=10, max_depth=6, random_state=0, n_jobs=-1))


def boosted(train):
    return fitted(train, HistGradientBoostingClassifier(max_iter=20, random_state=0))
'''
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long shift(void) { const char *text = getenv("CLOCK_SHIFT"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, now);
    if (!code && clock == CLOCK_REALTIME) now->tv_sec += shift();
    return code;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


@dataclass(frozen=True)
class Case:
    """One row of the table: what differs from the first."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    elsewhere: bool = False
    """Whether the working directory is another one, and the paths are absolute."""
    user: bool = False
    """Whether another user builds."""
    prepare: Callable[[Path], None] | None = None
    """What is done to the copy of the inputs before."""


def rows(count: int = 3000) -> pd.DataFrame:
    """People in three cities, some of unknown age, and whether they were late."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(size=count), "income": rng.normal(size=count)})
    table["city"] = rng.choice(["oslo", "bergen", "tromsø"], count)
    table["user"] = rng.integers(0, 500, count)
    table["late"] = (rng.random(count) < 1 / (1 + np.exp(-table["income"]))).astype("int64")
    table.loc[::20, "age"] = np.nan
    return table


def make_inputs(folder: Path) -> None:
    """Write a checkout with one commit: table, models, specifications and two notes."""
    (folder / "notes").mkdir(parents=True)
    rows().to_parquet(folder / "train.parquet", index=False)
    (folder / "models.py").write_text(MODELS)
    for function in ("line", "forest", "boosted"):
        (folder / f"{function}.toml").write_text(SPEC.format(function=function))
    (folder / "notes/a.txt").write_text("first\n")
    (folder / "notes/b.txt").write_text("second\n")
    author = {"NAME": "Somebody", "EMAIL": "somebody@example.com", "DATE": "2026-01-02T03:04:05Z"}
    env = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in author.items()}
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        run(["git", *command], cwd=folder, env={**os.environ, **env})


def run(command: list[str], *, cwd: Path, env: Mapping[str, str], umask: int = 0o022) -> None:
    """Run a command of ours, which must succeed."""
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=cwd, env=dict(env), umask=umask, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr or done.stdout}")


def reversed_order(folder: Path) -> None:
    """Create every input anew in reverse order, with times years apart, so that folders list them otherwise."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    data = {path: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    for number, path in enumerate(reversed(files)):
        path.write_bytes(data[path])
        os.utime(path, (YEAR * (1 + number), YEAR * (30 - number)))


def left_over(folder: Path) -> None:
    """Leave behind what an earlier build leaves: a bundle, caches of imports."""
    (folder / "small-0.9.0.candidate").write_bytes(b"old")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/models.cpython-311.pyc").write_bytes(b"old")


def as_another_user() -> list[str] | None:
    """Return what runs a command as ``nobody``; None where this machine lets us not."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return None
    reading = "+dac_read_search"  # the interpreter may lie in a home that nobody else may look into
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={reading}"]
    command += [f"--ambient-caps={reading}", f"--bounding-set={reading}"]
    works = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, check=False)  # noqa: S603 - ours
    return command if works.returncode == 0 else None


def shifted_clock(folder: Path) -> dict[str, str] | None:
    """Build a library that moves the clock a year ahead for one process; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    (folder / "clock.c").write_text(CLOCK)
    library = folder / "clock.so"
    run([compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "clock.c"), "-ldl"], cwd=folder, env=os.environ)
    env = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(YEAR)}
    told = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    import time

    return env if float(told.stdout) > time.time() + YEAR / 2 else None


def german(folder: Path) -> dict[str, str] | None:
    """Return the environment of a locale with a decimal comma; None where it cannot be made."""
    program = shutil.which("localedef")
    if program is None:
        return None
    place = folder / "locales"
    place.mkdir()
    command = [program, "-i", "de_DE", "-f", "UTF-8", str(place / "de_DE.UTF-8")]
    made = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own command
    return {"LOCPATH": str(place), "LC_ALL": "de_DE.UTF-8"} if made.returncode == 0 else None


def cases(folder: Path) -> tuple[list[Case], list[str]]:
    """Return the rows of the table, and what cannot be varied here."""
    found = [
        Case("as it is"),
        Case("once more"),
        *(Case(f"PYTHONHASHSEED={seed}", {"PYTHONHASHSEED": seed}) for seed in ("0", "1", "4242")),
        *(Case(f"TZ={zone}", {"TZ": zone}) for zone in ("UTC", "Asia/Tokyo", "America/St_Johns")),
        *(Case(f"umask {mask:04o}", umask=mask) for mask in (0o000, 0o077)),
        Case("another working directory", elsewhere=True),
        *(Case(f"LC_ALL={name}", {"LC_ALL": name}) for name in ("C", "C.UTF-8")),
        Case("inputs written in reverse order, other times", prepare=reversed_order),
        Case("left-overs of an earlier build", prepare=left_over),
        Case("another USER, HOME and TMPDIR", {"USER": "else", "LOGNAME": "else", "HOME": "/", "TMPDIR": str(folder)}),
        Case("one thread", dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")),
        Case("four threads", dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "4")),
    ]
    missing = []
    comma, clock = german(folder), shifted_clock(folder)
    for case, reason in (
        (None if comma is None else Case("LC_ALL=de_DE.UTF-8 (decimal comma)", comma), "no locale with a comma"),
        (None if clock is None else Case("a year later", clock), "no compiler to move the clock with"),
        (None if as_another_user() is None else Case("another user id (nobody)", user=True), "no other user"),
    ):
        if case is None:
            missing.append(reason)
        else:
            found.append(case)
    return found, missing


def built(case: Case, function: str, folder: Path, inputs: Path, key: Path) -> str:
    """Build once as the case says; return the sha256 of the file."""
    place = folder / f"{function}-{len(list(folder.iterdir()))}"
    shutil.copytree(inputs, place / "checkout")
    out, cwd = place / "out", place / "cwd" if case.elsewhere else place / "checkout"
    for new in (out, place / "cwd"):
        new.mkdir()
    shutil.copy(key, place / "key.pem")
    if case.prepare is not None:
        case.prepare(place / "checkout")
    command = [sys.executable, "-m", "candidate", "build"]
    command += [str(place / "checkout" / f"{function}.toml") if case.elsewhere else f"{function}.toml"]
    command += ["--out", str(out), "--key", str(place / "key.pem"), "--quiet"]
    if case.user:
        for path in [place, *place.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        command = [*(as_another_user() or []), *command]
    home = str(Path(__file__).resolve().parent.parent)
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = {**plain, "PYTHONPATH": home, "PYTHONDONTWRITEBYTECODE": "1", **case.env}
    run(command, cwd=cwd, env=env, umask=case.umask)
    data = (out / "small-1.0.0.candidate").read_bytes()
    shutil.rmtree(place)
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    """Print the table."""
    import candidate

    functions = ("line", "forest", "boosted")
    same = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        inputs, key = folder / "inputs", folder / "key.pem"
        make_inputs(inputs)
        key.write_bytes(candidate.new_key(None))
        table, missing = cases(folder)
        print(f"{'':<46}" + "".join(f" {function:<18}" for function in functions))
        first: dict[str, str] = {}
        for case in table:
            cells = []
            for function in functions:
                digest = built(case, function, folder, inputs, key)
                equal = first.setdefault(function, digest) == digest
                same = same and equal
                cells.append(f" {digest[:12]} {'equal' if equal else 'OTHER'}")
            print(f"{case.name:<46}" + "".join(cells), flush=True)
        for reason in missing:
            print(f"not varied here: {reason}")
    print("every file is the same, signature included" if same else "some files differ")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
