#!/usr/bin/env bash
# The contracts of the bucket and of the host on stores that are not ours: moto (S3) and Azurite (Azure). Both are fetched
# into FOLDER.
#   crates/s3/dialects.sh FOLDER
# A real one, by hand:
#   BACKPROPD_TEST_BUCKET=s3://bucket/prefix cargo test -p backpropd-s3 --test contract on_a_dialect
#   BACKPROPD_TEST_BUCKET=s3://bucket/prefix cargo test --lib contract::on_a_bucket
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."

pids=()
trap 'for pid in ${pids[@]+"${pids[@]}"}; do kill "$pid" 2>/dev/null || true; done' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[s3,server]==5.2.5'
npm install --silent --no-audit --no-fund --prefix "$folder/npm" azurite@3.35.0

# wait_for PORT: until something listens there.
wait_for() {
    for _ in $(seq 300); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing listens on port $1"
    exit 1
}

cargo test --quiet -p backpropd-s3 --test contract --no-run
cargo test --quiet --lib --no-run
contract() {
    cargo test --quiet -p backpropd-s3 --test contract on_a_dialect
    cargo test --quiet --lib contract::on_a_bucket
}

echo "moto"
# One request at a time: moto checks a condition and writes later, and its own program, which has threads, loses writes.
"$folder/venv/bin/python" - >"$folder/moto.log" 2>&1 <<'PYTHON' &
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

run_simple("127.0.0.1", 5555, DomainDispatcherApplication(create_backend_app), request_handler=MotoRequestHandler)
PYTHON
pids+=($!)
wait_for 5555
export AWS_ENDPOINT_URL=http://127.0.0.1:5555 AWS_ALLOW_HTTP=true AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret
curl --fail --silent --show-error -X PUT "$AWS_ENDPOINT_URL/contract" >/dev/null
BACKPROPD_TEST_BUCKET=s3://contract/prefix contract

echo "Azurite"
# A port of its own; the account and its key are the emulator's, known to all.
"$folder/npm/node_modules/.bin/azurite-blob" --blobHost 127.0.0.1 --blobPort 10000 --inMemoryPersistence --disableTelemetry \
    --skipApiVersionCheck --silent >"$folder/azurite.log" 2>&1 &
pids+=($!)
wait_for 10000
export AZURE_STORAGE_USE_EMULATOR=true
"$folder/venv/bin/python" - <<'PYTHON'
"""Creates the container: a request that is signed with the emulator's key."""
import base64, datetime, hashlib, hmac, urllib.request

account = "devstoreaccount1"
key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
version = "2021-12-02"
resource = f"/{account}/{account}/contract\nrestype:container"
text = f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{version}\n{resource}"
mac = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256)
request = urllib.request.Request(
    f"http://127.0.0.1:10000/{account}/contract?restype=container",
    method="PUT",
    headers={
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {account}:{base64.b64encode(mac.digest()).decode()}",
    },
)
urllib.request.urlopen(request, timeout=10)
PYTHON
BACKPROPD_TEST_BUCKET=az://contract/prefix contract
