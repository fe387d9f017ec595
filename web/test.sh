#!/usr/bin/env bash
# The page: its build is the committed one, its types and its lint are clean, it is small, and it works in a browser.
#   web/test.sh PROGRAM
#   web/test.sh prepare        only what needs no program: installs, builds, checks
# PROGRAM is backpropd, built with this web/dist. Needs Node 20.19 or newer with npm, and Chromium (CHROMIUM names another
# than /usr/bin/chromium). Exits with 1 at the first check that fails.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 PROGRAM|prepare" >&2
  exit 2
fi
# Named from where the caller is.
[ "$1" = prepare ] || BACKPROPD_BIN=$(realpath "$1")
cd "$(dirname "$0")"

prepare() {
  npm ci --no-audit --no-fund --silent
  npm run --silent generate
  git diff --exit-code --stat -- src/gen || { echo "src/gen is stale: run npm run generate in web, and commit it"; exit 1; }
  local built
  built=$(mktemp -d)
  npx vite build --outDir "$built/page" --logLevel error
  npx vite build --config vite.widget.config.ts --outDir "$built/widget" --logLevel error
  if ! diff -r "$built/page" dist || ! diff -r "$built/widget" ../python/backpropd/_widget; then
    echo "web/dist or python/backpropd/_widget is not what web/src builds: run npm run build in web, and commit both"
    exit 1
  fi
  rm -rf "$built"
  npm run --silent check
}

# All that a reader ever loads, fonts included.
size() {
  local total=0 file
  while read -r file; do
    case $file in
      *.woff2) total=$((total + $(wc -c <"$file"))) ;;
      *) total=$((total + $(gzip -9 -n -c "$file" | wc -c))) ;;
    esac
  done < <(find dist -type f)
  echo "the page: $((total / 1000)) kB compressed, of at most 350"
  [ "$total" -le 350000 ]
}

if [ "$1" = prepare ]; then
  prepare
  size
  exit
fi
export BACKPROPD_BIN
[ -d node_modules ] || prepare
size
# Of the networks whose every number is compared; 200 take minutes.
export NETWORKS=${NETWORKS:-25}
# One file after the other: each starts servers and browsers, and a machine has two cores. The time is that of a whole file.
node --test --test-concurrency=1 --test-timeout=600000 tests/*.test.mjs
