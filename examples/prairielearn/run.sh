#!/usr/bin/env bash
# PrairieLearn's external grader runs this in /grade: the first file of answers in student/ is graded.
set -euo pipefail
root=${GRADE:-/grade}
out="$root/results/results.json"
refuse() {
    printf '{"gradable": false, "format_errors": ["%s"]}\n' "$1" >"$out"
    exit 0
}

mkdir -p "$root/results"
answers=$(find "$root/student" -maxdepth 1 -type f \( -name '*.tex' -o -name '*.json' -o -name '*.toml' \) | sort | head -n 1)
[ -n "$answers" ] || refuse "There is no .tex, .json or .toml file of answers; hand one in."
backpropd grade "$answers" --format prairielearn --out "$out" ||
    refuse "The answers cannot be read; check the file with: backpropd grade FILE"
