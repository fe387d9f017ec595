#!/usr/bin/env bash
# TLS and tokens as tools that are not ours see them: curl, openssl, grpcio, buf curl.
#   tests/clients/tls.sh PROGRAM
# PROGRAM is backpropd. BUF and PYTHON name the programs (requirements.txt has both). Exits with 1 at the first check that fails.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 PROGRAM" >&2
  exit 2
fi
program=$(realpath "$1")
buf=${BUF:-buf}
python=${PYTHON:-python3}
. "$(dirname "$(realpath "$0")")/server.sh"
cd "$(mktemp -d)"
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$PWD"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

serve_tls "$program" lab.example

# The authority's signature holds for the certificate, by openssl's strictest reading.
openssl verify -x509_strict -purpose sslserver -CAfile tls/ca.crt tls/server.crt

# shake OPTIONS…: a handshake; succeeds if it completes.
shake() { timeout 10 openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile tls/ca.crt "$@" </dev/null 2>&1; }
for version in tls1_2 tls1_3; do
  shake "-$version" -verify_return_error >shaken || fail "no handshake with $version"
  grep -q 'Verify return code: 0 (ok)' shaken || fail "the certificate does not verify with $version"
done
# Old versions, with openssl itself willing to speak them.
for version in ssl3 tls1 tls1_1; do
  if shake "-$version" -cipher 'ALL:@SECLEVEL=0' >shaken; then fail "a handshake with $version"; fi
done
# Suites without forward secrecy or authenticated encryption, and those that are broken.
for suite in AES128-SHA AES256-GCM-SHA384 ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES256-SHA384 DES-CBC3-SHA RC4-SHA NULL-SHA256 \
  ADH-AES128-GCM-SHA256 DHE-RSA-AES128-GCM-SHA256; do
  if shake -tls1_2 -cipher "$suite:@SECLEVEL=0" >shaken; then fail "a handshake with $suite"; fi
done
for suite in ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-CHACHA20-POLY1305; do
  shake -tls1_2 -cipher "$suite" >shaken || fail "no handshake with $suite"
done
shake -tls1_2 >shaken
grep -q 'Secure Renegotiation IS supported' shaken || fail "no indication of secure renegotiation"
grep -q 'Compression: NONE' shaken || fail "compression"
# R asks for a renegotiation, which the server must not begin.
(sleep 0.3; echo R; sleep 0.7) | timeout 10 openssl s_client -tls1_2 -connect "127.0.0.1:$port" -CAfile tls/ca.crt >shaken 2>&1 || true
! grep -q 'verify return:1.*RENEGOTIATING.*verify return:1' <(tr '\n' ' ' <shaken) || fail "renegotiation"
for pair in 'h2 h2' 'http/1.1 http/1.1' 'http/1.1,h2 h2'; do
  read -r offered chosen <<<"$pair"
  shake -alpn "$offered" >shaken
  grep -q "ALPN protocol: $chosen" shaken || fail "of $offered the server does not choose $chosen"
done
echo "openssl: versions, suites, renegotiation, compression and ALPN are as they should be"

# curl, by HTTP/1.1 and by HTTP/2; a wrong name and an unknown authority are the client's to refuse.
url=https://localhost:$port
for version in --http1.1 --http2; do
  curl -sS --fail-with-body "$version" --cacert tls/ca.crt -H 'content-type: application/json' \
    -H "authorization: Bearer $(cat token)" -d '{}' \
    "$url/backprop.v1.ServerService/GetServerInfo" >info
  grep -q '"version"' info || fail "curl $version: $(cat info)"
done
# Again and again: a refusal that comes before the body has gone out must not be lost.
for version in --http1.1 --http2; do
  for _ in $(seq 20); do
    status=$(curl -sS "$version" --cacert tls/ca.crt -H 'content-type: application/json' -d '{}' -o refused -w '%{http_code}' \
      "$url/backprop.v1.ServerService/GetServerInfo") || fail "curl $version without a token got no reply"
    [ "$status" = 401 ] && grep -q '"unauthenticated"' refused || fail "curl without a token: $status $(cat refused)"
  done
done
curl -sS "$url/" >/dev/null 2>&1 && fail "curl trusts an authority that it does not know"
curl -sS --cacert tls/ca.crt --resolve "evil.example:$port:127.0.0.1" "https://evil.example:$port/" >/dev/null 2>&1 &&
  fail "curl takes the certificate for another name"
echo "curl: HTTP/1.1 and HTTP/2, with a token alone"

"$python" - "$port" <<'PYTHON'
import sys
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
with open("tls/ca.crt", "rb") as file:
    credentials = grpc.ssl_channel_credentials(file.read())
with grpc.secure_channel(f"localhost:{sys.argv[1]}", credentials) as channel:
    reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert reply.status == reply.SERVING, reply
print("grpcio: serving")
PYTHON

timeout 30 "$buf" curl --protocol grpc --cacert tls/ca.crt -H "authorization: Bearer $(cat token)" \
  --reflect-header "authorization: Bearer $(cat token)" "$url/backprop.v1.ServerService/GetServerInfo" -d '{}' >info
grep -q '"version"' info || fail "buf curl: $(cat info)"
echo "buf curl: gRPC by reflection"

stop_server
