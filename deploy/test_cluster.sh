#!/usr/bin/env bash
# Tries the files of this folder for several nodes: deploy/test.sh calls it, with its variables.
#   BINARY=target/debug/backpropd ENVOY=envoy PYTHON=python3 deploy/test_cluster.sh
# Envoy, HAProxy and nginx in front of three nodes on loopback: a session stays at its node, 64 MB pass, a node is killed
# (check_routing.py); the manifests are built by `kubectl kustomize` and validated by kubernetes-validate.
# PYTHON has grpcio, protobuf and numpy. A tool that is missing is named, and with REQUIRE=1 that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

. deploy/common.sh
python=${PYTHON:-python3}

"$binary" tls-init localhost --dir "$work/tls" >/dev/null
cat "$work/tls/server.crt" "$work/tls/server.key" >"$work/tls/both.pem"
ln -s server.crt "$work/tls/tls.crt"
ln -s server.key "$work/tls/tls.key"

# Three nodes: addresses, ports for the operator, and ids of processes.
nodes() {
    addresses=() ops=() processes=()
    local node
    for node in 1 2 3; do
        rm -rf "$work/node$node"
        mkdir "$work/node$node"
        "$binary" --port 0 --ops-listen 127.0.0.1:0 --data-dir "$work/node$node/data" --log-format json \
            >"$work/node$node/out" 2>"$work/node$node/log" &
        processes+=($!)
        started+=($!)
        # One of them is killed, which the shell need not tell.
        disown
    done
    for node in 1 2 3; do
        for _ in $(seq 200); do
            grep --quiet '"serving"' "$work/node$node/log" 2>/dev/null && break
            sleep 0.05
        done
        addresses+=("$(sed -n 's/.*listening on //p' "$work/node$node/out")")
        ops+=("$(sed -n 's/.*"message":"answering probes and scrapes","address":"\([^"]*\)".*/\1/p' "$work/node$node/log")")
        [ -n "${addresses[-1]}" ] && [ -n "${ops[-1]}" ] || fail "node $node did not start: $(cat "$work/node$node/log")"
    done
}

# behind NAME PORT [OPTION]: the checks of a proxy in front of the nodes.
behind() {
    local name=$1 port=$2 url=https://localhost:$2
    shift 2
    for _ in $(seq 100); do
        "$binary" healthcheck --server "$url" --ca "$work/tls/ca.crt" >/dev/null 2>&1 && break
        sleep 0.1
    done
    "$binary" healthcheck --server "$url" --ca "$work/tls/ca.crt" || fail "$name: no gRPC"
    # Until every node has answered a probe.
    sleep 2.5
    PYTHONPATH=python "$python" deploy/check_routing.py "localhost:$port" "$work/tls/ca.crt" \
        "${addresses[0]}/${processes[0]}" "${addresses[1]}/${processes[1]}" "${addresses[2]}/${processes[2]}" "$@" ||
        fail "$name: see above"
    local code
    code=$(curl --silent --show-error --cacert "$work/tls/ca.crt" --output /dev/null --write-out '%{http_code}' "$url/nothing-is-here")
    [ "$code" -ge 200 ] && [ "$code" -lt 500 ] || fail "$name: plain HTTP answers $code"
    ok "$name: sessions stay at their node, 64 MB pass, a node may die"
}
stop() {
    kill "$@" 2>/dev/null || true
    wait "$@" 2>/dev/null || true
}

envoy=${ENVOY:-$(command -v envoy || true)}
if [ -n "$envoy" ]; then
    nodes
    port=$(free_port)
    endpoints=$work/endpoints
    for node in 0 1 2; do
        echo "        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${addresses[node]##*:}}}," \
            "health_check_config: {port_value: ${ops[node]##*:}}}"
    done >"$endpoints"
    mkdir -p "$work/envoy"
    ln -sf "$work/tls" "$work/envoy/tls"
    cp deploy/envoy/descriptors.binpb "$work/envoy"
    sed -e "/address: backpropd-nodes/{r $endpoints" -e 'd}' \
        -e "s|port_value: 8443|port_value: $port|; s|port_value: 9901|port_value: $(free_port)|; s|port_value: 9902|port_value: 0|" \
        -e "s|/etc/envoy|$work/envoy|; s|address: 0.0.0.0|address: 127.0.0.1|" deploy/envoy/cluster.yaml >"$work/envoy.yaml"
    "$python" deploy/check_extractions.py deploy/envoy/cluster.yaml deploy/envoy/descriptors.binpb
    "$envoy" --mode validate --config-path "$work/envoy.yaml" --log-level error >/dev/null 2>&1 || fail "envoy --mode validate"
    "$envoy" --config-path "$work/envoy.yaml" --log-level error --base-id $$ --concurrency 1 >/dev/null 2>"$work/envoy.log" &
    proxy=$!
    started+=("$proxy")
    behind Envoy "$port" --without-header
    stop "$proxy" "${processes[@]}"
else
    missing envoy
fi

if command -v haproxy >/dev/null; then
    nodes
    port=$(free_port)
    sed -e "s|bind :443|bind 127.0.0.1:$port|; s|/etc/haproxy/backpropd.pem|$work/tls/both.pem|; s| check port 50052| check|" \
        -e "s|node1.example.edu:50051|${addresses[0]} port ${ops[0]##*:}|; s|node2.example.edu:50051|${addresses[1]} port ${ops[1]##*:}|" \
        -e "s|node3.example.edu:50051|${addresses[2]} port ${ops[2]##*:}|" deploy/haproxy/haproxy.cfg >"$work/haproxy.cfg"
    haproxy -c -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 || fail "haproxy -c: $(cat "$work/haproxy.log")"
    haproxy -db -f "$work/haproxy.cfg" >/dev/null 2>"$work/haproxy.log" &
    proxy=$!
    started+=("$proxy")
    behind HAProxy "$port"
    stop "$proxy" "${processes[@]}"
else
    missing haproxy
fi

if command -v nginx >/dev/null; then
    nodes
    port=$(free_port)
    mkdir -p "$work/nginx"
    {
        echo "daemon off; pid $work/nginx/pid; error_log $work/nginx/error.log;"
        echo "events {}"
        echo "http { access_log off;"
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $work/nginx/$kind;"; done
        sed -e "s|node1.example.edu:50051|${addresses[0]}|; s|node2.example.edu:50051|${addresses[1]}|" \
            -e "s|node3.example.edu:50051|${addresses[2]}|; s|listen 443|listen 127.0.0.1:$port|" \
            -e "s|/etc/nginx/backpropd.crt|$work/tls/server.crt|; s|/etc/nginx/backpropd.key|$work/tls/server.key|" deploy/nginx/cluster.conf
        echo "}"
    } >"$work/nginx/nginx.conf"
    nginx -t -q -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" || fail "nginx -t"
    nginx -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" &
    proxy=$!
    started+=("$proxy")
    behind nginx "$port"
    stop "$proxy" "${processes[@]}"
else
    missing nginx
fi

kubectl=${KUBECTL:-$(command -v kubectl || true)}
validate=${KUBERNETES_VALIDATE:-$(command -v kubernetes-validate || true)}
if [ -n "$kubectl" ] && [ -n "$validate" ]; then
    for folder in deploy/kubernetes/single-node deploy/kubernetes/overlays/*; do
        "$kubectl" kustomize "$folder" >"$work/manifests.yaml" || fail "kubectl kustomize $folder"
        "$validate" --strict --quiet "$work/manifests.yaml" || fail "kubernetes-validate: $folder"
        # The settings are the program's; the Envoy that runs above is the one that is deployed.
        "$python" deploy/check_manifests.py "$work/manifests.yaml" "$binary" || fail "$folder"
    done
    ok "kubectl kustomize and kubernetes-validate: one node, and $(ls -d deploy/kubernetes/overlays/* | wc -l) overlays of three"
else
    missing "kubectl or kubernetes-validate"
fi
