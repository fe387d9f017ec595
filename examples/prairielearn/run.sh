#!/usr/bin/env bash
# PrairieLearn's external grader runs this in a container: the files of the question are in /grade/tests, the hand-in is in
# /grade/student. A hand-in that cannot be read costs no attempt, and the message says why.
set -euo pipefail
root=${GRADE:-/grade}
out="$root/results/results.json"
mkdir -p "$root/results"
options=(--assignment "$(cat "$root/tests/assignment")" --secret-file "$root/tests/secret")
if [ -d "$root/tests/assignments" ]; then
    options+=(--assignments "$root/tests/assignments")
fi
"$root/serverFilesCourse/backpropd/backpropd" grade "$root/student" --autograder --format prairielearn --out "$out" "${options[@]}" ||
    printf '{"gradable": false, "message": "The autograder failed; tell your instructor."}\n' >"$out"
