#!/usr/bin/env bash
# Checks a running server through `buf curl`, whose schema comes from the server's reflection:
#   tests/clients/buf_curl.sh HOST:PORT
# BUF and PYTHON name the programs (requirements.txt has buf-bin). Exits with 1 at the first check that fails.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 HOST:PORT" >&2
  exit 2
fi
server=$1
buf=${BUF:-buf}
python=${PYTHON:-python3}
scratch=$(mktemp -d)
session=
cleanup() {
  if [ -n "$session" ]; then
    call SessionService/DeleteSession "{\"name\": \"$session\"}" >/dev/null 2>&1 || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

# call METHOD JSON: the reply, or several of them one after the other, on the standard output.
call() {
  timeout 30 "$buf" curl --http2-prior-knowledge --protocol grpc "http://$server/backprop.v1.$1" -d "$2"
}

# verify NAME FILE: runs the Python on the standard input, with the file's JSON documents as `replies` and the first
# of them as `reply`; an assertion that fails ends the script.
verify() {
  "$python" -c '
import json, sys
text, replies, decoder = open(sys.argv[1], encoding="utf-8").read(), [], json.JSONDecoder()
while text.strip():
    document, end = decoder.raw_decode(text.lstrip())
    replies.append(document)
    text = text.lstrip()[end:]
reply = replies[0] if replies else None
exec(compile(sys.stdin.read(), "check", "exec"))
' "$2" || { echo "FAIL $1"; cat "$2"; exit 1; }
  echo "ok   $1"
}

# Small enough to do by hand: z1 = (1, 2, -1), h1 = (1, 2, 0), z2 = (3, -1), h2 = (3, 0), f = 6, y = 4.
spec='{"input_size": 4, "layers": [{"units": 3}, {"units": 2}, {"units": 1}]}'
parameters='[
  {"weights": {"shape": [3, 4], "values": [1, 0, 0, 0,  0, 1, 0, 0,  0, 0, 1, 0]}},
  {"weights": {"shape": [2, 3], "values": [1, 1, 1,  1, -1, 0]}},
  {"weights": {"shape": [1, 2], "values": [2, 1]}}]'
inputs='{"shape": [1, 4], "values": [1, 2, -1, 0.5]}'
targets='{"shape": [1, 1], "values": [4]}'

call TrainingService/CreateModel "{\"model_id\": \"hw\", \"spec\": $spec, \"parameters\": $parameters}" >"$scratch/create"
model=$("$python" -c 'import json, sys; print(json.load(sys.stdin)["model"]["name"])' <"$scratch/create")
session=${model%%/models/*}
verify "CreateModel answers the spec with every default" "$scratch/create" <<'PY'
model = reply["model"]
assert model["name"].startswith("sessions/") and model["name"].endswith("/models/hw"), model["name"]
assert model["parameterCount"] == "20" and model["weightsDigest"], model
spec = model["spec"]
assert [layer["activation"] for layer in spec["layers"]] == ["ACTIVATION_RELU", "ACTIVATION_RELU", "ACTIVATION_LINEAR"]
assert spec["loss"] == "LOSS_HALF_SQUARED_ERROR" and spec["reduction"] == "REDUCTION_MEAN", spec
assert spec["reluAtZero"] == "RELU_AT_ZERO_ONE" and spec["compute"] == "DTYPE_FLOAT64", spec
PY

call TrainingService/Gradients "{\"model\": \"$model\", \"inputs\": $inputs, \"targets\": $targets}" >"$scratch/gradients"
verify "Gradients answers the numbers done by hand" "$scratch/gradients" <<'PY'
expected = {
    ("X", 0): ([1, 4], [1, 2, -1, 0.5]),
    ("Y", 0): ([1, 1], [4]),
    ("W", 1): ([3, 4], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]),
    ("W", 2): ([2, 3], [1, 1, 1, 1, -1, 0]),
    ("W", 3): ([1, 2], [2, 1]),
    ("Z", 1): ([1, 3], [1, 2, -1]),
    ("H", 1): ([1, 3], [1, 2, 0]),
    ("Z", 2): ([1, 2], [3, -1]),
    ("H", 2): ([1, 2], [3, 0]),
    ("Z", 3): ([1, 1], [6]),
    ("H", 3): ([1, 1], [6]),
    ("LOSS_PER_SAMPLE", 0): ([1], [2]),
    ("DELTA", 0): ([1, 1], [2]),
    ("D_H", 3): ([1, 1], [2]),
    ("D_Z", 3): ([1, 1], [2]),
    ("D_W", 3): ([1, 2], [6, 0]),
    ("D_H", 2): ([1, 2], [4, 2]),
    ("D_Z", 2): ([1, 2], [4, 0]),
    ("D_W", 2): ([2, 3], [4, 8, 0, 0, 0, 0]),
    ("D_H", 1): ([1, 3], [4, 4, 4]),
    ("D_Z", 1): ([1, 3], [4, 4, 0]),
    ("D_W", 1): ([3, 4], [4, 8, -4, 2, 4, 8, -4, 2, 0, 0, 0, 0]),
    ("D_X", 0): ([1, 4], [4, 4, 0, 0]),
}
got = {
    (named["quantity"].removeprefix("QUANTITY_"), named.get("layer", 0)): (
        named["tensor"]["shape"],
        named["tensor"]["values"],
    )
    for named in reply["tensors"]
}
assert reply["loss"] == 2 and reply["batchSize"] == 1, reply
assert got.keys() == expected.keys(), sorted(got.keys() ^ expected.keys())
for key, value in expected.items():
    assert got[key] == value, (key, got[key], value)
PY

call TrainingService/Predict "{\"model\": \"$model\", \"inputs\": $inputs}" >"$scratch/predict"
verify "Predict answers f = 6" "$scratch/predict" <<'PY'
assert reply["outputs"]["shape"] == [1, 1] and reply["outputs"]["values"] == [6], reply
PY

call TrainingService/TrainBatch "{\"model\": \"$model\", \"inputs\": $inputs, \"targets\": $targets, \"steps\": 3, \"learning_rate\": 0.001}" >"$scratch/train"
verify "TrainBatch streams Started, three steps and Completed" "$scratch/train" <<'PY'
assert list(replies[0]) == ["started"] and list(replies[-1]) == ["completed"], replies
assert replies[0]["started"]["plannedSteps"] == "3", replies[0]
steps = [step for message in replies[1:-1] for step in message["progress"]["steps"]]
assert [step["step"] for step in steps] == ["1", "2", "3"], steps
losses = [step["loss"] for step in steps]
assert losses[0] == 2 and losses[0] > losses[1] > losses[2], losses
assert all(step["learningRate"] == 0.001 for step in steps), steps
done = replies[-1]["completed"]
assert (done["stopReason"], done["stepsDone"], done["step"]) == ("STOP_REASON_FINISHED", "3", "3"), done
PY

call TrainingService/GetModel "{\"name\": \"$model\"}" >"$scratch/model"
verify "GetModel is at step 3" "$scratch/model" <<'PY'
assert reply["model"]["step"] == "3", reply
PY

status=0
call TrainingService/Predict "{\"model\": \"$model\", \"inputs\": {\"shape\": [1, 3], \"values\": [1, 2, 3]}}" \
  >"$scratch/stdout" 2>"$scratch/error" || status=$?
# buf's exit code is the gRPC code, here 3, times 8.
if [ "$status" -ne 24 ]; then
  echo "FAIL inputs of the wrong width: exit code $status, not 24"
  cat "$scratch/stdout" "$scratch/error"
  exit 1
fi
verify "inputs of the wrong width are INVALID_ARGUMENT, with details" "$scratch/error" <<'PY'
import base64
assert reply["code"] == "invalid_argument" and reply["message"], reply
# buf prints a detail's bytes in base64 without padding; the strings in them stand as they are.
details = {
    detail["type"].removeprefix("google.rpc."): base64.b64decode(detail["value"] + "=" * (-len(detail["value"]) % 4))
    for detail in reply["details"]
}
assert b"backpropd" in details["ErrorInfo"] and b"inputs" in details["BadRequest"], details
PY

call GradingService/GradeFormulas \
  '{"assignment": "hw-backprop", "answers": {"1.1": "\\delta h^2_{1,1}", "1.3": "h^{2\\top} \\delta"}}' >"$scratch/graded"
verify "formulas are graded, and a transposed one is named" "$scratch/graded" <<'PY'
graded = {question["id"]: question for question in reply["report"]["questions"]}
assert graded["1.1"]["verdict"] == "VERDICT_CORRECT", graded["1.1"]
assert graded["1.3"]["mistake"] == "MISTAKE_TRANSPOSED_RESULT", graded["1.3"]
PY
echo "all checks passed"
