#!/usr/bin/env bash
# Tries the files of this folder against a server:
#   deploy/test.sh
# promtool (Debian: prometheus) checks the metrics, the alerts and their tests; every query of the dashboard and of the
# alerts names a series that the server has; nginx (and Envoy, if ENVOY names it) pass calls on, to one server and to three
# (test_cluster.sh). BINARY names the server (target/debug/backpropd unless given). A tool that is missing is named, and with
# REQUIRE=1 that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

. deploy/common.sh

"$binary" --port 0 --ops-listen 127.0.0.1:0 --data-dir "$work/data" --log-format json >"$work/out" 2>"$work/log" &
started+=($!)
for _ in $(seq 200); do
    grep --quiet '"serving"' "$work/log" 2>/dev/null && break
    sleep 0.05
done
address=$(sed -n 's/.*listening on //p' "$work/out")
ops=$(sed -n 's/.*"message":"answering probes and scrapes","address":"\([^"]*\)".*/\1/p' "$work/log")
[ -n "$address" ] && [ -n "$ops" ] || fail "the server did not start: $(cat "$work/log")"

curl --silent --show-error --fail "http://$ops/metrics" >"$work/metrics"
if command -v promtool >/dev/null; then
    promtool check metrics <"$work/metrics" >"$work/lint" 2>&1 || fail "promtool check metrics: $(cat "$work/lint")"
    ok "promtool check metrics: $(grep --count --invert-match '^#' "$work/metrics") series"
    promtool check rules deploy/prometheus/alerts.yml >"$work/rules" || fail "$(cat "$work/rules")"
    promtool test rules deploy/prometheus/alerts_test.yml >"$work/rules" 2>&1 || fail "$(cat "$work/rules")"
    ok "promtool check rules, test rules"
else
    missing promtool
fi
python3 deploy/check_queries.py "$work/metrics"

cat >"$work/answers.json" <<'JSON'
{"assignment": "hw-backprop", "answers": {"1.11": "\\delta W^{3\\top} h^1"}}
JSON
"$binary" grade "$work/answers.json" --server "http://$address" >/dev/null || true
curl --silent --show-error --fail "http://$ops/metrics" >"$work/metrics"
grep --quiet 'backpropd_mistakes_total{mistake="MISSING_MASK"} 1' "$work/metrics" ||
    fail "mistakes_total did not move as an answer was graded"
ok "mistakes_total moves as an answer is graded"

"$binary" tls-init localhost --dir "$work/tls" >/dev/null
certificate=$work/tls/server.crt key=$work/tls/server.key authority=$work/tls/ca.crt
for file in "$certificate" "$key" "$authority"; do [ -s "$file" ] || fail "tls-init wrote no $file"; done

# through NAME PORT: calls through a proxy with TLS, as gRPC (small, large, streams) and as plain HTTP.
through() {
    local url=https://localhost:$2 code
    for _ in $(seq 100); do
        "$binary" healthcheck --server "$url" --ca "$authority" >/dev/null 2>&1 && break
        sleep 0.1
    done
    "$binary" healthcheck --server "$url" --ca "$authority" || fail "$1: no gRPC"
    "$binary" train --server "$url" --ca "$authority" --epochs 2 --quiet >"$work/train" 2>&1 ||
        fail "$1: a run with its stream: $(cat "$work/train")"
    python3 - "$work/large.csv" <<'PYTHON'
import random, sys
random.seed(1)
with open(sys.argv[1], "w") as file:
    file.write(",".join(f"x{i}" for i in range(100)) + ",y\n")
    for row in range(30_000):
        file.write(",".join(f"{random.random():.6f}" for i in range(100)) + f",{row % 3}\n")
PYTHON
    "$binary" train --data "$work/large.csv" --server "$url" --ca "$authority" --epochs 1 --quiet >"$work/train" 2>&1 ||
        fail "$1: a file of $(stat --format %s "$work/large.csv") bytes: $(cat "$work/train")"
    # After the calls above, so that no connection of one protocol is used for the other.
    code=$(curl --silent --show-error --cacert "$authority" --output /dev/null --write-out '%{http_code}' "$url/nothing-is-here")
    [ "$code" -ge 200 ] && [ "$code" -lt 500 ] || fail "$1: plain HTTP answers $code"
    ok "$1: gRPC, a run, a file of 25 MB, and HTTP"
}

if command -v nginx >/dev/null; then
    port=$(free_port)
    mkdir -p "$work/nginx"
    {
        echo "daemon off; pid $work/nginx/pid; error_log $work/nginx/error.log;"
        echo "events {}"
        echo "http { access_log off;"
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $work/nginx/$kind;"; done
        sed -e "s|127.0.0.1:50051|$address|g; s|listen 443|listen 127.0.0.1:$port|" \
            -e "s|/etc/nginx/backpropd.crt|$certificate|; s|/etc/nginx/backpropd.key|$key|" deploy/nginx/nginx.conf
        echo "}"
    } >"$work/nginx/nginx.conf"
    nginx -t -q -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" || fail "nginx -t"
    nginx -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" &
    started+=($!)
    through nginx "$port"
else
    missing nginx
fi

envoy=${ENVOY:-$(command -v envoy || true)}
if [ -n "$envoy" ]; then
    port=$(free_port)
    sed -e "s|port_value: 443|port_value: $port|; s|address: 0.0.0.0|address: 127.0.0.1|" \
        -e "s|port_value: 50051|port_value: ${address##*:}|; s|port_value: 50052|port_value: ${ops##*:}|" \
        -e "s|/etc/envoy/backpropd.crt|$certificate|; s|/etc/envoy/backpropd.key|$key|" \
        deploy/envoy/envoy.yaml >"$work/envoy.yaml"
    "$envoy" --mode validate --config-path "$work/envoy.yaml" --log-level error >/dev/null 2>&1 || fail "envoy --mode validate"
    "$envoy" --config-path "$work/envoy.yaml" --log-level error --base-id $$ --concurrency 1 >/dev/null 2>"$work/envoy.log" &
    started+=($!)
    through envoy "$port"
else
    missing envoy
fi

BINARY=$binary ENVOY=$envoy deploy/test_cluster.sh
