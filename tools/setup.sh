#!/bin/sh
# Make .venv and install into it: a lock (every file checked against its hash), then PRO itself from this folder.
# Usage: sh tools/setup.sh requirements.lock. PYTHON names the Python to use; without it, the first that is new enough.
set -eu
cd "$(dirname "$0")/.."
lock=$1
enough='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

as_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

have_uv() { uv --version >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-python3 python python3.13 python3.12 python3.11}; do
        if "$candidate" -c "$enough" >/dev/null 2>&1; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

make_venv() {
    if python=$(find_python); then
        "$python" -m venv .venv
    elif have_uv; then
        uv venv --seed --python '>=3.11' .venv
    elif as_root && apt-get update -q && apt-get install -y -q python3-venv && python=$(find_python); then
        "$python" -m venv .venv
    else
        echo "PRO needs Python 3.11 or newer with its venv module (on Debian and Ubuntu: apt install python3-venv)." >&2
        exit 1
    fi
}

# uv is quicker; where it cannot reach an index that pip knows of, pip does the work.
install() {
    if have_uv && uv pip install --quiet --compile-bytecode --python .venv/bin/python "$@" 2>/dev/null; then
        return 0
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}

.venv/bin/python -c "$enough" >/dev/null 2>&1 || { rm -rf .venv; make_venv; }
echo "installing $lock into .venv"
install --require-hashes -r "$lock"
install --no-deps --no-build-isolation -e .
