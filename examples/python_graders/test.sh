#!/usr/bin/env bash
# Runs the example of each grader on right, wrong, crashing and endless code, and says what it took:
#   examples/python_graders/test.sh PYTHON [GRADER…]
# PYTHON has backpropd, and the packages of requirements.txt for the graders that are named: gradescope, prairielearn, otter,
# nbgrader; default all.
set -euo pipefail
python=$(command -v "$1")
shift
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH="$(dirname "$python"):$PATH"
export PYTHON=$python PYTHONPATH=${PYTHONPATH:-} PYTHONDONTWRITEBYTECODE=1
# No configuration and no history of the person who runs this.
export HOME="$work/home" JUPYTER_PREFER_ENV_PATH=1
mkdir "$HOME"

# expect FILE KIND: the file of results says what a hand-in of this kind deserves: points of 10, and a word that names the mistake.
expect() {
    "$python" - "$@" <<'PYTHON'
import json, sys

file, kind = sys.argv[1:]
text = open(file, encoding="utf-8").read()
result = json.loads(text)
if "gradable" in result:
    points = 10 * result["score"]
elif "score" in result:
    points = result["score"]
else:
    points = sum(test.get("score", 0) for test in result["tests"])
deserved, words = {
    "right": (10, ""),
    "wrong": (2, "MISSING_MASK"),
    "crashing": (0, "KeyError: 0"),
    "endless": (0, "did not return within|took more than"),
}[kind]
assert points == deserved, f"{kind}: {points} points and not {deserved}: {text}"
assert any(word in text for word in words.split("|")), f"{kind}: no {words} in {text}"
PYTHON
}

gradescope() {
    local kind
    for kind in right wrong crashing endless; do
        # As Gradescope lays out the container.
        export AUTOGRADER="$work/gradescope-$kind"
        mkdir -p "$AUTOGRADER/submission"
        cp -r "$here/gradescope" "$AUTOGRADER/source"
        cp "$here/submissions/$kind.py" "$AUTOGRADER/submission/backward.py"
        "$AUTOGRADER/source/run_autograder" 2>"$work/log" || { cat "$work/log"; exit 1; }
        expect "$AUTOGRADER/results/results.json" "$kind"
    done
}

prairielearn() {
    local kind
    for kind in right wrong crashing endless; do
        "$python" "$here/prairielearn/emulate.py" "$here/prairielearn" "$here/submissions/$kind.py" >"$work/results.json"
        expect "$work/results.json" "$kind"
    done
}

otter() {
    local kind
    mkdir "$work/otter"
    cd "$work/otter"
    cp "$here/checking.py" .
    jupytext --quiet --to ipynb -o backward.ipynb "$here/otter/backward.py"
    # It also runs the tests on the solution of the notebook.
    command otter assign backward.ipynb dist >log 2>&1 || { cat log; exit 1; }
    for kind in right wrong crashing endless; do
        "$python" "$here/fill.py" dist/student/backward.ipynb "$here/submissions/$kind.py" "$kind.ipynb"
        mkdir "$kind"
        command otter run -a dist/autograder/*.zip -o "$kind" "$kind.ipynb" >log 2>&1 || { cat log; exit 1; }
        expect "$kind/results.json" "$kind"
    done
}

nbgrader() {
    local kind
    mkdir -p "$work/nbgrader/source/hw"
    cd "$work/nbgrader"
    cp "$here/nbgrader/nbgrader_config.py" .
    cp "$here/checking.py" source/hw/
    jupytext --quiet --to ipynb -o source/hw/backward.ipynb "$here/nbgrader/backward.py"
    command nbgrader generate_assignment hw >log 2>&1 || { cat log; exit 1; }
    if grep -q "BEGIN SOLUTION\|HIDDEN" release/hw/backward.ipynb; then echo "the students' notebook has the solution"; exit 1; fi
    for kind in right wrong crashing endless; do
        mkdir -p "submitted/$kind/hw"
        cp release/hw/checking.py "submitted/$kind/hw/"
        "$python" "$here/fill.py" release/hw/backward.ipynb "$here/submissions/$kind.py" "submitted/$kind/hw/backward.ipynb"
    done
    { command nbgrader autograde hw && command nbgrader export && command nbgrader generate_feedback hw; } >log 2>&1 || { cat log; exit 1; }
    for kind in right wrong crashing endless; do
        # The points of the gradebook, and the page that the student gets.
        "$python" - "$kind" >"$kind.json" <<'PYTHON'
import csv, html, json, sys

kind = sys.argv[1]
points = [float(row["score"]) for row in csv.DictReader(open("grades.csv")) if row["student_id"] == kind]
page = html.unescape(open(f"feedback/{kind}/hw/backward.html", encoding="utf-8").read())
words = ("MISSING_MASK", "did not return within")
shown = [word for word in words if word in page] + ["KeyError: 0"] * ("KeyError" in page)
json.dump({"score": points[0], "shown": shown}, sys.stdout)
PYTHON
        expect "$kind.json" "$kind"
    done
}

graders=("$@")
[ $# -gt 0 ] || graders=(gradescope prairielearn otter nbgrader)
for grader in "${graders[@]}"; do
    started=$SECONDS
    ("$grader")
    echo "$grader: right, wrong, crashing and endless code graded in $((SECONDS - started)) s"
done
