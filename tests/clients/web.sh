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
. "$(dirname "$here")/server.sh"
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$scratch"
}
trap cleanup EXIT
(cd "$here" && npm install --no-package-lock --no-audit --no-fund --silent)
cd "$scratch"
serve_tls "$program"
token=$(cat token)
node "$here/node.mjs" "$port" tls/ca.crt "$token"
node "$here/browser.mjs" "$port" "$token"
stop_server
