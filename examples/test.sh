#!/usr/bin/env bash
# Runs both autograder kits in the folders of their platforms, and grades the class and the assignment beside them:
#   examples/test.sh PATH_TO_BACKPROPD
set -euo pipefail
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$program" "$work/bin/backpropd"
export PATH="$work/bin:$PATH"

# expect FILE PATTERN: the pattern is there.
expect() {
    grep -q -- "$2" "$1" || { echo "no $2 in:"; cat "$1"; exit 1; }
}

echo "a class of thirty"
backpropd grade "$here/class" --format json --out "$work/reports" >"$work/table"
expect "$work/table" '^30 submissions'
[ "$(find "$work/reports" -name '*.json' | wc -l)" = 30 ]

echo "an assignment of one's own"
printf '{"assignment": "classifier", "answers": {"b": "delta.T @ h2"}}' >"$work/own.json"
backpropd grade "$work/own.json" --assignments "$here/assignments" >"$work/own"
expect "$work/own" '^2 of 17 points'

echo "Gradescope"
export AUTOGRADER="$work/autograder"
mkdir -p "$AUTOGRADER/source" "$AUTOGRADER/submission"
cp "$here/gradescope/"* "$AUTOGRADER/source/"
cp "$here/class/paul.json" "$AUTOGRADER/submission/"
echo "a secret" >"$AUTOGRADER/source/secret"
(cd "$AUTOGRADER" && bash source/run_autograder)
python3 - "$AUTOGRADER/results/results.json" <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
assert len(result["tests"]) == 25, result
assert sum(test["score"] for test in result["tests"]) == 50, result
PYTHON
rm "$AUTOGRADER/submission/paul.json"
(cd "$AUTOGRADER" && bash source/run_autograder)
expect "$AUTOGRADER/results/results.json" '"score": 0'

echo "PrairieLearn"
export GRADE="$work/grade"
mkdir -p "$GRADE/student"
cp "$here/class/paul.json" "$GRADE/student/"
bash "$here/prairielearn/run.sh"
python3 - "$GRADE/results/results.json" <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
assert result["gradable"] and result["score"] == 1, result
PYTHON
echo "((" >"$GRADE/student/paul.json"
bash "$here/prairielearn/run.sh" 2>/dev/null
expect "$GRADE/results/results.json" '"gradable": false'
