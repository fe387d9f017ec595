#!/usr/bin/env bash
# Builds the image around a locally built static binary, pulling nothing, and uses it as its readers would:
#   docker/test.sh
# Needs podman with its network (netavark, and nft or iptables), and rustc's static glibc. Exits with 77 where podman is missing, 1 at the first check that fails. It
# calls the server with tests/clients/grpcio_client.py where PYTHON (python3) has that client's packages, else with
# `backpropd train`. BINARY names a static binary to use instead of building one. It removes what it made, nothing else.
set -euo pipefail

readonly LARGEST_IMAGE=31000000 DRAIN_SECONDS=10 GRACE_SECONDS=15 PATIENCE_SECONDS=20
readonly TARGET=x86_64-unknown-linux-gnu

if ! command -v podman >/dev/null; then
  echo "skipped: podman is not installed" >&2
  exit 77
fi
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
name=backpropd-test-$$
image=localhost/$name
scratch=$(mktemp -d)
trainer=
# Where a machine's default limits may not be raised, podman's own defaults fail; these are within everybody's.
run_flags=(--ulimit nofile=1024:1024 --ulimit nproc=1000:1000)
if command -v runc >/dev/null; then
  run_flags+=(--runtime runc)
fi

cleanup() {
  if [ -n "$trainer" ]; then
    kill "$trainer" 2>/dev/null || true
  fi
  podman rm --force --time 0 --ignore --volumes "$name" >/dev/null 2>&1 || true
  podman volume rm --force "$name" >/dev/null 2>&1 || true
  if podman image exists "$image"; then
    podman rmi "$image" >/dev/null || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

ok() { echo "ok   $*"; }
fail() {
  echo "FAIL $*" >&2
  podman logs "$name" >&2 2>/dev/null || true
  exit 1
}
equal() { # NAME ACTUAL EXPECTED
  [ "$2" = "$3" ] || fail "$1: $2 instead of $3"
  ok "$1: $2"
}
now() { date +%s%N; }
since() { echo $((($(now) - $1) / 1000000)); }

# start FLAG...: runs the container as compose.yaml does, with free ports in $port and $ops.
start() {
  podman run --detach --name "$name" --publish 127.0.0.1::50051 --publish 127.0.0.1::50052 --read-only --read-only-tmpfs=false --cap-drop ALL \
    --env BACKPROPD_INSECURE_REMOTE=true --security-opt no-new-privileges --memory 1g --cpus 1 --pids-limit 256 "${run_flags[@]}" "$@" >/dev/null
  port=$(podman port "$name" 50051/tcp | sed 's/.*://')
  ops=$(podman port "$name" 50052/tcp | sed 's/.*://')
}
healthy_outside() { "$binary" healthcheck --server "http://127.0.0.1:$port" >/dev/null 2>&1; }
await_health() {
  local from
  from=$(now)
  until healthy_outside; do
    [ "$(since "$from")" -lt $((PATIENCE_SECONDS * 1000)) ] || fail "not healthy within $PATIENCE_SECONDS s"
    sleep 0.01
  done
}
exit_code() { podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$name"; }

binary=${BINARY:-}
if [ -z "$binary" ]; then
  RUSTFLAGS='-C target-feature=+crt-static' cargo build --profile dist --no-default-features --features clouds --locked --target "$TARGET"
  binary=${CARGO_TARGET_DIR:-target}/$TARGET/dist/backpropd
fi
mkdir "$scratch/binary"
cp "$binary" "$scratch/binary/backpropd"

# The image format docker has a HEALTHCHECK; OCI, podman's default, has none. One layer for all leaves none behind.
podman build --quiet --format docker --layers=false --pull=never --file docker/Dockerfile \
  --build-context "binary=$scratch/binary" --tag "$image" . >/dev/null
size=$(podman image inspect --format '{{.Size}}' "$image")
[ "$size" -le "$LARGEST_IMAGE" ] || fail "the image has $size bytes, more than $LARGEST_IMAGE"
ok "image size: $size bytes"
inspect() { podman image inspect --format "$1" "$image"; }
equal "user" "$(inspect '{{.Config.User}}')" 65532:65532
equal "ports" "$(inspect '{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}')" "50051/tcp 50052/tcp "
equal "stop signal" "$(inspect '{{.Config.StopSignal}}')" SIGTERM
equal "health check" "$(inspect '{{.HealthCheck.Test}}')" "[CMD /backpropd healthcheck]"
equal "version label" "backpropd $(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}')" \
  "$("$binary" --version)"

begun=$(now)
start "$image"
created=$(since "$begun")
await_health
ok "serves $(since "$begun") ms after podman run was called, which itself took $created ms"
podman exec "$name" /backpropd healthcheck || fail "the health check inside the container"
podman healthcheck run "$name" >/dev/null || fail "the image's HEALTHCHECK"
ok "healthy from outside, inside, and by the image's HEALTHCHECK"
equal "readiness at the operator's port" "$(curl --silent --show-error "http://127.0.0.1:$ops/readyz")" ready
pid=$(podman inspect --format '{{.State.Pid}}' "$name")
equal "uid of the process" "$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")" 65532
equal "capabilities of the process" "$(awk '/^Cap(Prm|Eff|Bnd):/ {print $2}' "/proc/$pid/status" | sort -u)" \
  0000000000000000
equal "files in the image" "$(podman export "$name" | tar --list --verbose | awk '/^-/ && $3 > 0 {print $NF}' |
  grep --invert-match '^etc/\|^run/\|^data/')" backpropd
if "$python" -c 'import google.rpc.status_pb2, grpc_health, grpc_reflection, grpc_tools, numpy' 2>/dev/null; then
  "$python" tests/clients/grpcio_client.py "127.0.0.1:$port" >"$scratch/client" 2>&1 ||
    fail "the Python client: $(cat "$scratch/client")"
  ok "the Python client: $(grep --count '^ok ' "$scratch/client") checks"
else
  echo "note: $python lacks the packages of tests/clients/requirements.txt; backpropd train alone calls the server"
fi
"$binary" train --server "http://127.0.0.1:$port" --epochs 2 --quiet >"$scratch/train" 2>&1 ||
  fail "backpropd train: $(cat "$scratch/train")"
ok "backpropd train: $(head -n 1 "$scratch/train")"
code=0
"$binary" train --plot "$scratch/loss.svg" >/dev/null 2>"$scratch/plot" || code=$?
equal "exit code of train --plot" "$code" 2
grep --quiet 'feature `plot`' "$scratch/plot" || fail "train --plot: $(cat "$scratch/plot")"
begun=$(now)
podman stop --time "$GRACE_SECONDS" "$name" >/dev/null 2>&1
ok "stopped while idle in $(since "$begun") ms"
equal "after podman stop" "$(exit_code)" "exited 0"
podman rm --volumes "$name" >/dev/null

# A user that only the platform knows, in group 0, as OpenShift does; and a run under way when the signal comes.
start --user 1000730000:0 --env BACKPROPD_EPHEMERAL=true --env "BACKPROPD_DRAIN_SECONDS=$DRAIN_SECONDS" "$image"
await_health
pid=$(podman inspect --format '{{.State.Pid}}' "$name")
equal "uid of the process" "$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")" 1000730000
"$binary" train --server "http://127.0.0.1:$port" --epochs 1000000 --quiet >/dev/null 2>&1 &
trainer=$!
sleep 1
kill -0 "$trainer" 2>/dev/null || fail "the run ended before the server was stopped"
begun=$(now)
podman kill --signal TERM "$name" >/dev/null
[ "$(timeout "$GRACE_SECONDS" podman wait "$name")" = 0 ] || fail "SIGTERM during a run: $(exit_code)"
ok "stopped during a run in $(since "$begun") ms"
equal "after SIGTERM" "$(exit_code)" "exited 0"
wait "$trainer" && fail "the client was not told that its run was cut short"
trainer=
ok "the client was told"
podman rm --volumes "$name" >/dev/null

# What was acknowledged is in the volume, whatever becomes of the container.
volume=$name
start --volume "$volume:/data" "$image"
await_health
model=$("$binary" import tests/goldens/homework.safetensors --server "http://127.0.0.1:$port")
podman kill --signal KILL "$name" >/dev/null
podman rm --force --time 0 "$name" >/dev/null
start --volume "$volume:/data" "$image"
await_health
"$binary" export "$model" "$scratch/model" --server "http://127.0.0.1:$port" >/dev/null ||
  fail "$model is gone after kill -9"
ok "$model is there after kill -9 and a new container"
podman rm --force --time 0 --volumes "$name" >/dev/null

# A node of a cluster needs nothing but the address of its store.
start --env BACKPROPD_STORE=memory: "$image"
await_health
equal "the store" "$("$binary" call GetServerInfo --server "http://127.0.0.1:$port" | grep --only-matching '"store":"[a-z]*"')" \
  '"store":"memory"'
