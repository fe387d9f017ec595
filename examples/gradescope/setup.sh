#!/usr/bin/env bash
# Gradescope runs this once, when the autograder's image is built: the program is the file beside this one.
set -euo pipefail
install -m 755 /autograder/source/backpropd /usr/local/bin/backpropd
