#!/usr/bin/env bash
# Builds what is published of the Python package: a wheel for each kind of Linux machine, and the sources.
#   python/build_wheels.sh [FOLDER [ARCHITECTURE…]]      (target/wheels, x86_64 and aarch64 unless given)
# zig links against the symbols of glibc 2.17, so that one wheel serves every distribution since 2014. The same commit makes
# the same bytes, whatever the folder. Needs rustup with the targets of both machines, and python3.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1:-target/wheels}")
shift || true
[ $# -gt 0 ] || set -- x86_64 aarch64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
say() { printf '\n== %s\n' "$*"; }

say "tools"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r python/build-requirements.txt
export PATH="$work/venv/bin:$PATH"
zig=$("$work/venv/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')
export PATH="$zig:$PATH"

# The time in the archives is that of the commit, and no path of this machine is in the program.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
cargo_home=${CARGO_HOME:-$HOME/.cargo}
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
export RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$PWD=/src --remap-path-prefix=$target_dir=/target ${RUSTFLAGS:-}"
export CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$target_dir=/target ${CFLAGS:-}"

say "the sources"
maturin sdist --out "$out"

for machine; do
    say "the wheel for $machine"
    maturin build --profile wheel --no-default-features --locked --zig --compatibility manylinux_2_17 --target "$machine-unknown-linux-gnu" \
        --compression-level 9 --out "$out"
    wheel=$(ls -t "$out"/*manylinux_2_17_"$machine"*.whl | head -1)
    python3 python/tools/check_wheel.py "$wheel"
done
(cd "$out" && sha256sum -- backpropd-*.whl backpropd-*[0-9].tar.gz | tee SHA256SUMS-python)
