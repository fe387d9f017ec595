// The reader's own numbers: compared with the server's, entry by entry.
import assert from "node:assert/strict";
import test from "node:test";
import { AWAY, assertAccessible, call, open, seen, serve, visit } from "./harness.mjs";

const NETWORK = "net=2-2-1&W1=0.5,-1;1.5,0.25&W2=1,-2&x=1,2;-1,0.5&y=1;-1";

/** The right gradients of that network, from the server. */
async function gradients(url) {
  const tensor = (shape, values) => ({ shape, values });
  const reply = await call(url, "TrainingService/Gradients", {
    inline: {
      spec: { inputSize: 2, layers: [{ units: 2 }, { units: 1 }] },
      parameters: [{ weights: tensor([2, 2], [0.5, -1, 1.5, 0.25]) }, { weights: tensor([1, 2], [1, -2]) }],
    },
    inputs: tensor([2, 2], [1, 2, -1, 0.5]),
    targets: tensor([2, 1], [1, -1]),
  });
  const found = reply.tensors.find(({ quantity, layer }) => quantity === "QUANTITY_D_W" && layer === 1);
  return found.tensor.values.map(Number);
}

const repr = ([a, b, c, d]) => `array([[${a}, ${b}],\n       [${c}, ${d}]])`;

async function compare(page, text) {
  await page.fill("#numbers", text);
  await page.click("button:has-text('Compare')");
}

test("a right matrix is right, and a wrong entry is marked by a sign and named", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/numbers?${NETWORK}`);
  const right = await gradients(server.url);
  await compare(page, repr(right));
  await seen(page, "#results", "Right");
  assert.equal(await page.locator("[data-tensor] td.right").count(), 4);
  const wrong = right.map((value, at) => (at === 3 ? value + 1 : value));
  await compare(page, repr(wrong));
  await seen(page, "#results", /Wrong|Partly/);
  assert.equal(await page.locator("[data-tensor] td.wrong").count(), 1);
  assert.match(await page.locator("[data-tensor] .matrix-caption").textContent(), /3 of 4 entries are right/);
  await compare(page, repr(right.map((value) => -value)));
  await page.locator("[data-mistake=SIGN_FLIPPED]").waitFor();
  assert.match(await page.locator("[aria-live]").textContent(), /dW¹: Wrong/);
  await assertAccessible(page, "compared numbers");
});

test("JSON, tensors of torch and several names are read", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/numbers?${NETWORK}`);
  const [a, b, c, d] = await gradients(server.url);
  await compare(
    page,
    JSON.stringify({
      dW1: [
        [a, b],
        [c, d],
      ],
      dW2: [[1, 2]],
    }),
  );
  await seen(page, ".reading", "dW¹, 2 × 2, dW², 1 × 2");
  await page.locator("[data-tensor='dW²']").waitFor();
  assert.match(await page.locator("[data-tensor='dW¹']").textContent(), /Right/);
  await compare(page, `tensor([[${a}, ${b}], [${c}, ${d}]], dtype=torch.float64, grad_fn=<MmBackward0>)`);
  await seen(page, "#results", "Right");
});

test("what is no matrix is told before anything is sent", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/numbers?${NETWORK}`);
  for (const [text, told] of [
    ["array([[1., 2., ..., 3.]])", "np.set_printoptions"],
    ["[[1, 2], [3]]", "row 2 has 1"],
    ["[[1, two]]", "“two” is no number"],
    ["[[1, 2]", "copy the whole matrix"],
    ["dV1 = [[1]]", "“dV1” is no gradient"],
  ]) {
    await page.fill("#numbers", text);
    await seen(page, ".unread", told);
    assert.ok(await page.locator("button:has-text('Compare')").isDisabled(), text);
  }
  await compare(page, "dW7 = [[1, 2]]");
  await seen(page, "[role=alert]", "submitted[0].layer");
  await compare(page, "dW1 = [[1, 2, 3]]");
  await page.locator("[data-mistake=SHAPE_MISMATCH]").waitFor();
});

test("a model for grading only shows no number, and says how many tries are left", async (t) => {
  const server = await serve(t);
  const { session } = await call(server.url, "SessionService/CreateSession", { sessionId: "lab" });
  const inputs = { shape: [1, 2], values: [1, 2] };
  const targets = { shape: [1, 1], values: [1] };
  const { model } = await call(server.url, "TrainingService/CreateModel", {
    session: session.name,
    modelId: "secret",
    spec: { inputSize: 2, layers: [{ units: 2 }, { units: 1 }] },
    seed: 1,
    access: "ACCESS_COMPARE_ONLY",
    compare: { inputs, targets },
  });
  const page = await visit(t, await open(t), `${server.url}/#/numbers?of=${encodeURIComponent(model.name)}`);
  await seen(page, ".against", "for grading only");
  await page.fill("#inputs", "1, 2");
  await page.fill("#targets", "1");
  await compare(page, "dW1 = [[1, 2], [3, 4]]");
  await seen(page, "#results", "Wrong");
  await seen(page, ".results", /\d+ comparisons are left/);
  assert.equal(
    await page.locator("[data-tensor] td.wrong, [data-tensor] td.right").count(),
    0,
    "entries are not judged",
  );
  await page.fill("#inputs", "1, 3");
  await compare(page, "dW1 = [[1, 2], [3, 4]]");
  await page.locator("[role=alert]").first().waitFor();
});

test("64 × 64 entries are read and shown at once; a server that is away is told", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/numbers?net=64-64-64&seed=1`, { allow: AWAY });
  const rows = Array.from(
    { length: 64 },
    (_, i) => `[${Array.from({ length: 64 }, (_, j) => ((i * 64 + j) % 97) / 97 - 0.5)}]`,
  );
  const text = `dW1 = [${rows}]`;
  const began = Date.now();
  await compare(page, text);
  await seen(page, "#results", "Wrong");
  assert.ok(Date.now() - began < 10_000);
  await seen(page, "[data-tensor]", "The first 32 × 32 of 64 × 64 entries");
  await server.stop();
  await page.click("button:has-text('Compare')");
  await seen(page, "[role=alert]", "The server does not answer");
  await server.again();
  await page.waitForFunction(() => !document.querySelector(".gone"));
  await page.click("button:has-text('Compare')");
  await page.waitForFunction(() => document.querySelectorAll("[role=alert]").length === 0);
});
