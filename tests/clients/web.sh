#!/usr/bin/env bash
# Node and a browser as clients, over TLS and with a token; a page of a foreign origin gets nothing.
#   tests/clients/web.sh PROGRAM
# PROGRAM is backpropd. Needs Node 20 or newer with npm, and Chromium (CHROMIUM names another than /usr/bin/chromium). Exits with 1 at the
# first check that fails.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 PROGRAM" >&2
  exit 2
fi
program=$(realpath "$1")
here=$(realpath "$(dirname "$0")/web")
scratch=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$scratch"
}
trap cleanup EXIT
(cd "$here" && npm install --no-package-lock --no-audit --no-fund --silent)
cd "$scratch"
"$program" tls-init >init
"$program" token --new-secret secrets >init 2>&1
token=$("$program" token --secret-file secrets --role student --sub alice --expires 1h)
"$program" serve --ephemeral --port 0 --auth-secret-file secrets --tls-cert-file tls/server.crt --tls-key-file tls/server.key >out 2>log &
server=$!
for _ in $(seq 100); do
  port=$(sed -n 's/.*listening on .*://p' out)
  [ -n "$port" ] && break
  kill -0 "$server" || { cat log; exit 1; }
  sleep 0.1
done
[ -n "$port" ] || { cat log; exit 1; }
node "$here/node.mjs" "$port" tls/ca.crt "$token"
node "$here/browser.mjs" "$port" "$token"
kill -TERM "$server"
wait "$server"
server=
