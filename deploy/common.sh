# What the tests of this folder share; sourced from the root of the repository. BINARY names the server
# (target/debug/backpropd unless given). Processes whose ids are in `started` end with the script, and `work` is removed.
binary=${BINARY:-${CARGO_TARGET_DIR:-target}/debug/backpropd}
work=$(mktemp -d)
started=()
cleanup() {
    for process in ${started[@]+"${started[@]}"}; do kill "$process" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap cleanup EXIT
ok() { echo "ok   $*"; }
fail() {
    echo "FAIL $*" >&2
    exit 1
}
# A tool that is missing is named, and with REQUIRE=1 that is a failure.
missing() {
    [ -z "${REQUIRE:-}" ] || fail "$1 is not installed"
    echo "skipped: $1 is not installed"
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
