#!/usr/bin/env bash
# Gradescope runs this once, when the autograder's image is built: a program that does not run here fails now.
set -euo pipefail
root=${AUTOGRADER:-/autograder}
chmod +x "$root/source/backpropd"
chmod 600 "$root/source/secret"
"$root/source/backpropd" --version
