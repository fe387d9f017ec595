// The parts that know no page: numbers as they are pasted, files of samples, curves in a fixed amount of memory.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { rolldown } from "rolldown";

async function load(file) {
  const bundle = await rolldown({
    input: new URL(`../src/model/${file}`, import.meta.url).pathname,
    logLevel: "silent",
  });
  const { output } = await bundle.generate({ format: "esm" });
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString("base64")}`);
}

/** What both modules export, so that they share the classes of errors. */
async function loadCalls() {
  const bundle = await rolldown({
    input: "calls",
    logLevel: "silent",
    plugins: [
      {
        name: "calls",
        resolveId: (id) => (id === "calls" ? id : null),
        load: (id) =>
          id === "calls"
            ? ["rpc/problem.ts", "rpc/read.ts", "gen/google/rpc/error_details_pb.ts"]
                .map((file) => `export * from ${JSON.stringify(new URL(`../src/${file}`, import.meta.url).pathname)};`)
                .concat('export { ConnectError, Code } from "@connectrpc/connect";')
                .join("\n")
            : null,
      },
    ],
    cwd: new URL("..", import.meta.url).pathname,
  });
  const { output } = await bundle.generate({ format: "esm", codeSplitting: false });
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString("base64")}`);
}

const calls = await loadCalls();
const { readPasted } = await load("pasted.ts");
const { gradientNamed, writtenName } = await load("quantity.ts");
const { readSheet, samplesOf } = await load("csv.ts");
const { Curve, joined } = await load("curve.ts");
const { cutAtBytes } = await load("span.ts");

const read = (text) =>
  readPasted(text).map(({ name, matrix, axes }) => [name, matrix.rows, matrix.columns, axes, ...matrix.data]);

test("numbers are read as numpy, torch, Python, JSON and MATLAB write them", () => {
  const expected = [["", 2, 2, 2, 1, -2, 0.3, 4e-5]];
  for (const text of [
    "array([[ 1.e+00, -2.e+00],\n       [ 3.e-01,  4.e-05]])",
    "[[ 1.    -2.    ]\n [ 0.3    0.00004]]",
    "tensor([[1., -2.], [0.3, 4e-5]], grad_fn=<AddBackward0>)",
    "tensor([[1., -2.], [0.3, 4e-5]], device='cuda:0', dtype=torch.float64)",
    "[[1, -2], [0.3, 4e-5]]",
    "np.array([[1, −2], [0.3, 4e-5]], dtype=np.float32)",
    "[1 -2; 0.3 4e-5]",
    "1, -2\n0.3, 4e-5",
    "1\t-2\n0.3\t4e-5\n",
    "Array([[1., -2.], [0.3, 4e-5]], dtype=float32)",
    "[[np.float64(1.0), np.float64(-2.0)], [np.float64(0.3), np.float64(4e-05)]]",
  ]) {
    assert.deepEqual(read(text), expected, text);
  }
  assert.deepEqual(read("[1, 2, 3]"), [["", 1, 3, 1, 1, 2, 3]]);
  assert.deepEqual(read("array([nan, -inf, inf])"), [["", 1, 3, 1, Number.NaN, -Infinity, Infinity]]);
  assert.deepEqual(read("0.5"), [["", 1, 1, 0, 0.5]]);
  assert.deepEqual(read("{'dW1': array([[1., 2.]]), 'db1': array([3.])}"), [
    ["dW1", 1, 2, 2, 1, 2],
    ["db1", 1, 1, 1, 3],
  ]);
  assert.deepEqual(read("dW2 = [[1]]\ndelta: [[2]]"), [
    ["dW2", 1, 1, 2, 1],
    ["delta", 1, 1, 2, 2],
  ]);
});

test("a printed number has the digits that it shows", () => {
  assert.equal(readPasted("[0.00120, 0.5]")[0].digits, 3);
  assert.equal(readPasted("[-0.08441234567890123]")[0].digits, 16);
});

test("names of gradients are those that people write", () => {
  for (const [name, written] of [
    ["dW2", "dW²"],
    ["dw_1", "dW¹"],
    ["dW[12]", "dW¹²"],
    ["grad_b3", "db³"],
    ["da1", "dh¹"],
    ["delta", "δ"],
    ["dx", "dx"],
  ]) {
    assert.equal(writtenName(gradientNamed(name)), written);
  }
  for (const name of ["W2", "dW", "dx1", "dW0", "foo"]) assert.equal(gradientNamed(name), undefined, name);
});

test("a file of samples has a header or none, any of three separators, and quoted cells", () => {
  const sheet = readSheet('a;b;kind\r\n1;2,0;"x ""1"""\r\n');
  assert.deepEqual(sheet.columns, ["a", "b", "kind"]);
  assert.deepEqual(sheet.rows, [["1", "2,0", 'x "1"']]);
  assert.equal(readSheet("1,2,0\n3,4,1\n").rows.length, 2);
  const samples = samplesOf(readSheet("1,2,10\n3,4,9\n5,6,10\n"), 2);
  assert.deepEqual(samples.target, { kind: "classes", labels: [1, 0, 1], names: ["9", "10"] });
  assert.deepEqual([...samples.x], [1, 2, 3, 4, 5, 6]);
  assert.equal(samplesOf(readSheet("x,y\n1,0.5\n2,1.5\n"), 1).target.kind, "numbers");
});

test("a curve of a million steps takes no more memory than one of two thousand", () => {
  const curve = new Curve(1, 64);
  for (let step = 1; step <= 1_000_000; step++) curve.push(step, [step]);
  assert.ok(curve.length <= 64 && curve.length >= 32, String(curve.length));
  assert.equal(curve.steps()[0], 1);
  assert.ok(curve.lastStep > 950_000);
  const steps = [...curve.steps()];
  assert.deepEqual(
    steps,
    [...steps].sort((a, b) => a - b),
  );
  assert.deepEqual([...curve.column(0)], steps);
  const other = new Curve(1, 8);
  other.push(1, [5]);
  other.push(500, [7]);
  const [x, left, right] = joined(curve, other, 0);
  assert.equal(x.length, left.length);
  assert.equal(right[x.indexOf(500)], 7);
  assert.equal(left[0], 1);
});

test("bytes of the server are letters of the page", () => {
  assert.deepEqual(cutAtBytes("δ W^9", 3, 6), { before: "δ ", part: "W^9", after: "" });
});

/** An error of the server with this reason. */
function refusal(reason, retryAfterMs) {
  const { ConnectError, Code, ErrorInfoSchema, RetryInfoSchema } = calls;
  const retryDelay = { seconds: 0n, nanos: retryAfterMs * 1e6 };
  return new ConnectError("the server's words", Code.Unavailable, undefined, [
    { desc: ErrorInfoSchema, value: { domain: "backpropd", reason } },
    { desc: RetryInfoSchema, value: { retryDelay } },
  ]);
}

test("every reason with a retry that docs/errors.md has is told in words", () => {
  const table = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const later = [...table.matchAll(/^\| `([A-Z_]+)` \| `[A-Z_]+` \| later \|/gm)].map((match) => match[1]);
  assert.ok(later.includes("MOVED") && later.includes("STORE_UNREACHABLE"), later.join());
  const other = calls.problemOf(refusal("NOT_A_REASON", 1)).title;
  for (const reason of later) {
    const { title, advice, detail, retryAfterMs } = calls.problemOf(refusal(reason, 50));
    assert.notEqual(title, other, reason);
    assert.ok(advice, reason);
    assert.deepEqual([detail, retryAfterMs], ["the server's words", 50]);
  }
});

test("what another node has overtaken is repeated, and told when repeats do not help", async () => {
  for (const reason of ["MOVED", "STORE_UNREACHABLE"]) {
    let tries = 0;
    const work = (failures) => async () => {
      tries += 1;
      if (tries <= failures) throw refusal(reason, 1);
      return tries;
    };
    assert.equal(await calls.repeated(work(2)), 3);
    tries = 0;
    await assert.rejects(calls.repeated(work(99)), (error) => calls.problemOf(error).reason === reason);
    assert.equal(tries, 4);
  }
  let once = 0;
  const final = async () => {
    once += 1;
    throw new calls.ConnectError("no", calls.Code.NotFound);
  };
  await assert.rejects(calls.repeated(final));
  assert.equal(once, 1);
});
