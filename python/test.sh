#!/usr/bin/env bash
# Checks the Python package: lints, types, tests with coverage, those on Ray, and the wheel in clean environments.
#   python/test.sh PROGRAM [WHEEL]      WHEEL is built around target/release/backpropd unless given
#   python/test.sh prepare FOLDER       fetches what that needs, which takes a network and no program
# ENVIRONMENTS=FOLDER uses what `prepare` has made. LOCAL_SERVERS=1000 has the long form of the test that nothing is left.
set -euo pipefail
cd "$(dirname "$0")/.."

# What the wheel is installed beside: from the oldest that pyproject.toml allows to the newest there is.
matrix=(
    "3.10 protobuf==4.25.* grpcio==1.60.* numpy==1.26.*"
    "3.11 protobuf==5.29.* grpcio==1.66.* numpy==1.26.*"
    "3.12 protobuf==6.31.* grpcio numpy==2.0.*"
    "newest protobuf grpcio numpy"
)

# What the tests of backpropd.ray need: 160 MB, and an environment of its own, since Ray does not run on each Python of the matrix.
ray=(3.12 "ray[data]==2.60.0" grpcio kubernetes-validate==1.37.0 numpy protobuf pytest==9.2.0)

# The interpreter of a version, or of the newest there is; python3 if this machine has no such one.
interpreter() {
    local version candidates=() path
    if [ "$1" = newest ]; then candidates=(3.15 3.14 3.13 3.12 3.11); else candidates=("$1"); fi
    for version in "${candidates[@]}"; do
        for path in $(type -ap "python$version") "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
            if [ -x "$path" ] && "$path" -c 'import ensurepip, venv' 2>/dev/null; then
                echo "$path"
                return
            fi
        done
    done
    echo "no Python $1 on this machine: $(python3 --version) takes its place" >&2
    command -v python3
}

# prepare FOLDER: an environment with the tools, one with Ray, and one for each line of the matrix. uv shares the files among them.
prepare() {
    local folder=$1 line pids=() number=0
    python3 -m venv "$folder/tools"
    "$folder/tools/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt
    environment "$folder/ray" "${ray[@]}" &
    pids+=($!)
    for line in "${matrix[@]}"; do
        # shellcheck disable=SC2086 # A line is words.
        environment "$folder/$number" $line &
        pids+=($!)
        number=$((number + 1))
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
}

environment() {
    local folder=$1 version=$2 python
    shift 2
    python=$(interpreter "$version")
    "$python" -m venv --without-pip "$folder"
    uv "$folder/../tools" install --quiet --python "$folder/bin/python" "$@"
}

uv() {
    local tools=$1
    shift
    "$tools/bin/uv" pip "$@"
}

# The wheel in an environment of its own, away from this checkout.
smoke() {
    local folder=$1 wheel=$2
    uv "$folder/../tools" install --quiet --python "$folder/bin/python" --offline --no-deps "$wheel"
    (cd "$folder" && env -u BACKPROPD_BIN -u PYTHONPATH bin/python "$smoke_test")
}

lint() {
    "$tools/ruff" check python
    "$tools/ruff" format --check python
    "$tools/mypy"
    "$tools/pyright"
}

wheels() {
    local wheel=$1 folder
    if [ -z "$wheel" ]; then
        # cargo has built the program already, so that this packs it.
        "$tools/maturin" build --quiet --locked --out "$work/wheel"
        wheel=$(echo "$work"/wheel/*.whl)
    fi
    for folder in "$environments"/[0-9]*; do smoke "$folder" "$wheel"; done
}

# Two raylets on loopback.
on_ray() {
    BACKPROPD_BIN=$program "$environments/ray/bin/python" -m pytest -q -p no:cacheprovider python/tests/test_ray.py
}

if [ "${1:-}" = prepare ]; then
    prepare "$2"
    exit
fi

program=$(realpath "$1")
wheel=${2:+$(realpath "$2")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
environments=${ENVIRONMENTS:-}
if [ -z "$environments" ]; then
    environments=$work/environments
    prepare "$environments"
fi
environments=$(realpath "$environments")
tools=$environments/tools/bin
smoke_test=$PWD/python/tests/smoke.py

lint >"$work/lint" 2>&1 &
linting=$!
wheels "$wheel" >"$work/wheels" 2>&1 &
packing=$!
on_ray >"$work/ray" 2>&1 &
on_ray=$!
code=0
export COVERAGE_FILE=$work/coverage
BACKPROPD_BIN=$program "$tools/coverage" run -m pytest -q || code=1
"$tools/coverage" combine --quiet
"$tools/coverage" report || code=1
for task in "$linting lint" "$packing wheels" "$on_ray ray"; do
    wait "${task% *}" || code=1
    cat "$work/${task#* }"
done
exit $code
