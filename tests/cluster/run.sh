#!/usr/bin/env bash
# Three nodes, Envoy and a bucket in network namespaces, under faults (cluster.py):
#   tests/cluster/run.sh PROGRAM [--faults N] [--kinds KIND …] [--stop SECONDS] [--failover SECONDS] [--seed N] [--keep FOLDER]
# Without options each fault strikes once, within two minutes; by hand: --faults 200 --stop 30, in three quarters of an hour.
# It needs root, iproute2, /dev/net/tun and curl, and leaves nothing in the machine's own namespace. BUCKET names
# the program of crates/s3, ENVOY Envoy, PYTHON a Python with grpcio, protobuf and numpy; LIMIT (seconds) ends it in any case.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "network namespaces need root" >&2; exit 2; }
program=$1
shift
exec timeout --signal TERM --kill-after 20 "${LIMIT:-10800}" "${PYTHON:-python3}" tests/cluster/cluster.py \
    "$program" "${BUCKET:-$(dirname "$program")/backpropd-s3}" "${ENVOY:-$(command -v envoy)}" "$@"
