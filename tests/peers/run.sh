#!/bin/sh
# Other people's tools read what we write. Installs them (Debian, npm, and PyPI into an environment of
# their own), then runs tests/peers.
set -eu
cd "$(dirname "$0")/../.."
work=tests/peers/.work
mkdir -p "$work"

if ! command -v skopeo >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends skopeo >/dev/null
fi
if ! command -v softhsm2-util >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends softhsm2 >/dev/null
fi
if ! command -v chromium >/dev/null 2>&1 || ! command -v pdftotext >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        chromium fonts-liberation poppler-utils >/dev/null
fi
if ! command -v docker-registry >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker-registry >/dev/null
fi
if ! command -v systemd-analyze >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd >/dev/null
fi
if ! command -v npm >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
fi
cp tests/peers/package.json "$work/"
npm install --prefix "$work" --no-audit --no-fund --silent

if ! test "$work/venv/.installed" -nt tests/peers/requirements.txt; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        --requirement tests/peers/requirements.txt
    touch "$work/venv/.installed"
fi

if ! test "$work/serving/.installed" -nt tests/peers/serving.txt; then
    python3 -m venv "$work/serving"
    "$work/serving/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        --requirement tests/peers/serving.txt
    touch "$work/serving/.installed"
fi

.venv/bin/python -m pytest tests/peers -p no:randomly

# What takes too long for `make test`: every bit of a bundle flipped, and fuzzing guided by coverage.
.venv/bin/python -m benchmarks.flips
make --no-print-directory fuzz
