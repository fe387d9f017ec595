#!/usr/bin/env bash
# Writes every autograder kit and runs it in the folders of its platform, and grades the class and the assignment beside them:
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

echo "an assignment is checked"
backpropd check "$here/assignments/classifier.toml" >"$work/checked"
expect "$work/checked" '^classifier: A tanh classifier'
sed 's/^prompt/promt/' "$here/assignments/classifier.toml" >"$work/wrong.toml"
if backpropd check "$work/wrong.toml" >"$work/checked"; then exit 1; fi
expect "$work/checked" 'has no field "promt"; allowed are'

# verifies RESULTS ANSWERS SECRET
verifies() {
    backpropd verify "$1" "$2" --secret-file "$3" | grep -q '^genuine' || { echo "no genuine receipt in $1"; exit 1; }
}

echo "Gradescope"
backpropd kit gradescope "$work/gradescope" >/dev/null 2>&1
export AUTOGRADER="$work/autograder"
mkdir -p "$AUTOGRADER/source" "$AUTOGRADER/submission"
# Gradescope unpacks the zip, runs setup.sh once, and run_autograder for each submission.
python3 - "$work/gradescope/autograder.zip" "$AUTOGRADER/source" <<'PYTHON'
import sys, zipfile
zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])
PYTHON
(cd "$AUTOGRADER" && bash source/setup.sh >/dev/null)
echo '{"users": [{"name": "Paul", "email": "paul@example.edu"}]}' >"$AUTOGRADER/submission_metadata.json"
cp "$here/class/paul.json" "$AUTOGRADER/submission/"
(cd "$AUTOGRADER" && bash source/run_autograder)
python3 - "$AUTOGRADER/results/results.json" <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
assert len(result["tests"]) == 25, result
assert sum(test["score"] for test in result["tests"]) == 50, result
assert result["extra_data"]["report"]["student"] == "paul@example.edu", result
PYTHON
chmod 600 "$work/gradescope/secret"
verifies "$AUTOGRADER/results/results.json" "$AUTOGRADER/submission" "$work/gradescope/secret"
# gradescope_says FILE PATTERN: a submission of this file alone gets 0 points and the reason.
gradescope_says() {
    rm -f "$AUTOGRADER/submission/"*
    cp "$1" "$AUTOGRADER/submission/"
    (cd "$AUTOGRADER" && bash source/run_autograder)
    expect "$AUTOGRADER/results/results.json" '"score": 0'
    expect "$AUTOGRADER/results/results.json" "$2"
}
echo "((" >"$work/broken.json"
echo "# hello" >"$work/answers.md"
gradescope_says "$work/broken.json" 'broken.json: line 1, column 1'
gradescope_says "$work/answers.md" 'Markdown is not read'
rm "$AUTOGRADER/submission/answers.md"
(cd "$AUTOGRADER" && bash source/run_autograder)
expect "$AUTOGRADER/results/results.json" 'no file in it'

echo "PrairieLearn"
backpropd kit prairielearn "$work/course" --assignment "$here/assignments/classifier.toml" >/dev/null 2>&1
python3 - "$work/course/questions/backprop" <<'PYTHON'
import json, sys, uuid
info = json.load(open(sys.argv[1] + "/info.json"))
assert uuid.UUID(info["uuid"]).version == 4 and info["type"] == "v3" and info["gradingMethod"] == "External", info
options = info["externalGradingOptions"]
assert options["enabled"] and options["image"] and options["serverFilesCourse"] == ["backpropd/"], info
html = open(sys.argv[1] + "/question.html").read()
assert "pl-file-upload" in html and "pl-external-grader-results" in html
assert "\\begin{answer}" in open(sys.argv[1] + "/clientFilesQuestion/answers.tex").read()
PYTHON
# The container's /grade: the course's files, the question's tests, the hand-in.
export GRADE="$work/grade"
mkdir -p "$GRADE/student"
cp -r "$work/course/serverFilesCourse" "$GRADE/"
cp -r "$work/course/questions/backprop/tests" "$GRADE/tests"
cp "$work/own.json" "$GRADE/student/answers.json"
"$GRADE/serverFilesCourse/backpropd/run.sh" 2>/dev/null
python3 - "$GRADE/results/results.json" <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
assert result["gradable"] and abs(result["score"] - 2 / 17) < 1e-9, result
PYTHON
verifies "$GRADE/results/results.json" "$GRADE/student" "$GRADE/tests/secret" 2>/dev/null
mv "$work/broken.json" "$GRADE/student/answers.json"
"$GRADE/serverFilesCourse/backpropd/run.sh" 2>/dev/null
expect "$GRADE/results/results.json" '"gradable": false'
expect "$GRADE/results/results.json" 'answers.json: line 1'

echo "Autolab"
backpropd kit autolab "$work/backprop" >/dev/null 2>&1
expect "$work/backprop/backprop.yml" 'name: "1.11"'
expect "$work/backprop/backprop.rb" 'module Backprop'
# Autolab copies the two files and the hand-in into a folder, and runs make.
mkdir "$work/autolab"
cp "$work/backprop/autograde-Makefile" "$work/autolab/Makefile"
cp "$work/backprop/autograde.tar" "$work/autolab/"
cp "$here/class/paul.json" "$work/autolab/answers.txt"
(cd "$work/autolab" && make) >"$work/autolab.out"
python3 - "$work/autolab.out" <<'PYTHON'
import json, sys
scores = json.loads(open(sys.argv[1]).read().splitlines()[-1])["scores"]
assert len(scores) == 25 and sum(scores.values()) == 50, scores
PYTHON
echo "((" >"$work/autolab/answers.txt"
(cd "$work/autolab" && make) >"$work/autolab.out"
python3 - "$work/autolab.out" <<'PYTHON'
import json, sys
lines = open(sys.argv[1]).read().splitlines()
assert set(json.loads(lines[-1])["scores"].values()) == {0} and "line 1" in lines[0], lines
PYTHON

echo "GitHub Classroom"
backpropd kit github "$work/template" >/dev/null 2>&1
expect "$work/template/.github/workflows/classroom.yml" 'runners: backpropd'
cp "$here/class/paul.json" "$work/template/answers.json"
rm "$work/template/answers.tex"
echo "# A repository" >"$work/template/README.md"
(cd "$work/template" && GITHUB_OUTPUT="$work/github.out" bash .github/backpropd/grade.sh >/dev/null)
python3 - "$work/github.out" <<'PYTHON'
import base64, json, sys
result = json.loads(base64.b64decode(open(sys.argv[1]).read().removeprefix("result=")))
assert result["status"] == "pass" and result["max_score"] == 50 and len(result["tests"]) == 25, result
PYTHON
