#!/usr/bin/env bash
# From the sheet to the scores: fills in the sheet as a student does, compiles it, rewrites the PDF as platforms do, and grades it.
#   examples/sheet.sh PATH_TO_BACKPROPD
# Needs pdflatex with embedfile (Debian: texlive-latex-base, texlive-latex-extra) and qpdf; tries lualatex and xelatex if they
# are installed.
set -euo pipefail
program=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

expect() {
    grep -qF -- "$2" "$1" || { echo "no $2 in:"; cat "$1"; exit 1; }
}

"$program" sheet hw-backprop --out blank.tex
python3 - <<'PYTHON'
sheet = open("blank.tex").read()
answers = {
    "1.1": r"$\dl = \delta h^2_{1,1}$ % the chain rule",
    "1.3": r"\[ \dl = \delta h^2 \]",
    "1.11": r"$δ (W³ ⊙ (z² ≥ 0))^\top h¹$",
    "1.17": r"$\left(\left(\delta W^3 \had (z^2 \ge 0)\right) W^2 \had (z^1 \ge 0)\right)^\top x$",
}
for question, answer in answers.items():
    begin = "\\begin{answer}{%s}\n" % question
    assert sheet.count(begin) == 1, question
    sheet = sheet.replace(begin, begin + answer)
macros = "\\newcommand{\\dl}{\\frac{\\partial l}{\\partial W}}\n\\newcommand{\\had}{\\odot}\n"
sheet = sheet.replace("% Such as", macros + "% Such as")
sheet = sheet.replace("Your name", "Ada Lovelace")
open("ada.tex", "w").write(sheet)
PYTHON

# compile ENGINE NAME: the PDF of ada.tex as NAME.pdf.
compile() {
    "$1" -interaction=nonstopmode -halt-on-error -jobname="$2" ada.tex >"$2.log" 2>&1 || { tail -30 "$2.log"; exit 1; }
}
# read_as NAME: the PDF holds the answers that the .tex holds.
read_as() {
    "$program" grade "$1" --format json --student ada >"$1.json"
    cmp "$1.json" ada.json || { echo "$1 is read as something else than ada.tex"; exit 1; }
}
"$program" grade ada.tex --format json --student ada >ada.json

echo "pdfTeX, and under Overleaf's job name"
compile pdflatex ada
compile pdflatex output
read_as ada.pdf
read_as output.pdf

echo "rewritten by qpdf"
qpdf --linearize output.pdf linear.pdf
qpdf --object-streams=generate --recompress-flate --compression-level=9 output.pdf packed.pdf
qpdf --stream-data=uncompress --object-streams=disable output.pdf plain.pdf
qpdf --linearize packed.pdf both.pdf
for name in linear packed plain both; do read_as "$name.pdf"; done

if command -v lualatex >/dev/null; then
    echo "LuaTeX"
    compile lualatex lua
    read_as lua.pdf
fi
if command -v xelatex >/dev/null; then
    echo "XeTeX, which cannot"
    compile xelatex xe
    if "$program" grade xe.pdf 2>why; then exit 1; fi
    expect why "pdfLaTeX or LuaLaTeX"
    if command -v pdftotext >/dev/null; then
        pdftotext xe.pdf xe.txt
        expect xe.txt "This PDF cannot be graded"
    fi
fi
# What is printed or encrypted has no answers, and says so.
qpdf --encrypt a b 256 -- output.pdf locked.pdf
if "$program" grade locked.pdf 2>why; then exit 1; fi
expect why "encrypted"
qpdf --empty --pages output.pdf -- pages.pdf
if "$program" grade pages.pdf 2>why; then exit 1; fi
expect why "no answers inside"

echo "a class of PDFs, to a list of scores"
mkdir class
cp linear.pdf class/ada.pdf
cp pages.pdf class/alan.pdf
if "$program" grade class --format csv >scores.csv 2>/dev/null; then exit 1; fi
python3 - <<'PYTHON'
import csv
ada, alan = csv.DictReader(open("scores.csv"))
assert ada["status"] == "graded" and float(ada["score"]) == 8, ada
assert [ada[q] for q in ("1.1", "1.2", "1.3", "1.11", "1.17")] == ["2", "0", "2", "2", "2"], ada
assert alan["status"] == "not read" and alan["score"] == "0" and "no answers inside" in alan["reason"], alan
PYTHON

# Each assignment: its sheet filled in with a right answer to each question but one, which has the first mistake that the
# file lists; compiled once; the folder of PDFs graded into the course's list.
for name in hw-backprop two-layer-sigmoid softmax-regression logistic-regression four-equations; do
    echo "$name: sheet, PDF, scores"
    mkdir "$work/$name"
    cd "$work/$name"
    "$program" sheet "$name" --assignments "$root/assignments" --out blank.tex
    python3 - "$root" "$name" <<'PYTHON'
import json, pathlib, sys, tomllib
root, name = pathlib.Path(sys.argv[1]), sys.argv[2]
load = lambda path: tomllib.loads((root / path).read_text())
questions = load(f"assignments/{name}.toml")["questions"]
is_built_in = name == "hw-backprop"
right = load("tests/grading/correct.toml")["answers"] if is_built_in else load(f"crates/grader/tests/courses/right/{name}.toml")
wrong = next(question for question in questions if question.get("mistakes"))
sheet = open("blank.tex").read()
for question in questions:
    answer = wrong["mistakes"][0]["answer"] if question is wrong else right[question["id"]][0]
    begin = "\\begin{answer}{%s}\n" % question["id"]
    assert sheet.count(begin) == 1, begin
    sheet = sheet.replace(begin, f"{begin}${answer}$")
open("ada.tex", "w").write(sheet.replace("Your name", "Ada Lovelace"))
json.dump([questions, wrong], open("expected.json", "w"))
PYTHON
    compile pdflatex ada
    mkdir class
    mv ada.pdf class/
    printf 'email,group\nada@uni.edu,1\nalan@uni.edu,2\n' >roster.csv
    "$program" grade class --assignments "$root/assignments" --format csv --roster roster.csv >scores.csv
    "$program" grade class --assignments "$root/assignments" --format json >class.json
    python3 - <<'PYTHON'
import csv, json
questions, wrong = json.load(open("expected.json"))
[hand_in] = json.load(open("class.json"))["submissions"]
codes = {question["id"]: question.get("mistake") for question in hand_in["report"]["questions"]}
expected = {question["id"]: None for question in questions} | {wrong["id"]: wrong["mistakes"][0]["code"]}
assert codes == expected, codes
ada, alan = csv.DictReader(open("scores.csv"))
points = {question["id"]: question["points"] for question in questions}
assert (ada["email"], ada["status"], ada["file"]) == ("ada@uni.edu", "graded", "ada.pdf"), ada
assert alan["status"] == "" and alan["score"] == "", alan
for question, most in points.items():
    earned = float(ada[question])
    assert earned < most if question == wrong["id"] else earned == most, (question, earned, most)
lost = points[wrong["id"]] - float(ada[wrong["id"]])
assert float(ada["max_score"]) == sum(points.values()), ada
assert abs(float(ada["score"]) - sum(points.values()) + lost) < 0.01, ada
PYTHON
done
