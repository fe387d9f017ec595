// The network's view: its numbers are the server's, to the last bit, in every table, picture and frame of the player.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AWAY, assertAccessible, assertNothingCut, call, open, seen, serve, visit } from "./harness.mjs";

const NETWORKS = Number(process.env.NETWORKS ?? "200");
const ACTIVATIONS = ["linear", "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"];

test("every number of 200 random networks, in every frame, is that of Gradients", { timeout: 1_800_000 }, async (t) => {
  const server = await serve(t);
  const browser = await open(t);
  const page = await visit(t, browser, `${server.url}/#/network`);
  const random = mulberry(2026);
  for (let count = 0; count < NETWORKS; count++) {
    const network = randomNetwork(random);
    const wanted = await expected(server.url, network);
    const shown = await shownBy(page, network, wanted.loss);
    const what = JSON.stringify(network);
    assert.deepEqual(Object.keys(shown.frames), framesOf(network), what);
    compareTables(shown.all, wanted, "update", what);
    const { last, matrices } = wanted;
    const missing = Object.keys(matrices).filter((name) => !(name in shown.all));
    assert.deepEqual(missing, [`dz${last}`, `dh${last}`], `δ stands for them: ${what}`);
    for (const [frame, tables] of Object.entries(shown.frames)) compareTables(tables, wanted, frame, what);
    comparePicture(shown.picture, wanted, what);
    for (const [index, { weights }] of wanted.updated.entries()) {
      assert.deepEqual(shown.updated[`new W${index + 1}`], texts(weights), `update: ${what}`);
    }
  }
});

test("an entry explains itself down to its factors, and each factor lights its place", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network?dir=backward`);
  await page.locator('.edge[data-entry="dW2.2.3"] .stroke').dispatchEvent("click");
  await seen(page, ".panel h2", "dW²₂₃");
  const factor = page.locator('.factor[data-entry="dz2.2.2"]');
  await factor.focus();
  await page.locator('.half.lit[data-entry="dz2.2.2"]').waitFor();
  assert.equal(await page.locator(".picture-bar select").inputValue(), "1", "the picture turns to the factor's sample");
  await factor.click();
  await seen(page, ".panel h2", "dz²₂₂");
  assert.match(page.url(), /at=dz2\.2\.2/);
  await page.getByRole("button", { name: "Chain rule" }).click();
  await seen(page, ".why-entry .factor", "δ");
  await page.getByRole("button", { name: "Leaves" }).click();
  await page.locator(".leaf").nth(2).waitFor();
});

test("a nudge comes close to the derivative, and an edit is in the link", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network?at=W2.2.3`);
  const quotient = page.locator(".nudge tr", { hasText: "difference" }).locator(".number");
  const derivative = Number(await page.locator(".nudge tfoot .number").getAttribute("data-value"));
  assert.ok(Math.abs(Number(await quotient.getAttribute("data-value")) - derivative) < 1e-9);
  await page.locator(".value-field input").fill("-0.75");
  await page.locator(".value-field input").press("Enter");
  await page.waitForFunction(() => /W2=[^&]*-0\.75/.test(location.hash));
  const loss = page.locator(".picture-bar .loss .number");
  const link = page.url();
  const before = await loss.getAttribute("data-value");
  const other = await visit(t, await open(t), link);
  await other.locator(".picture-bar .loss .number").waitFor();
  assert.equal(await other.locator(".picture-bar .loss .number").getAttribute("data-value"), before);
});

test("the player goes forward and back by the arrow keys, and keeps the first weights", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network`);
  const first = await page.locator('[data-matrix="W1"] td').first().getAttribute("data-value");
  const frames = await page.locator(".frames button").count();
  for (let count = 0; count < frames; count++) await page.keyboard.press("ArrowRight");
  await page.locator("section.update").waitFor();
  for (let count = 0; count < 4; count++) await page.keyboard.press("ArrowLeft");
  assert.equal(await page.locator(".frames [aria-current]").getAttribute("data-frame"), "dW2");
  await page.getByRole("button", { name: "Forward →" }).click();
  assert.equal(await page.locator('[data-matrix="W1"] td').first().getAttribute("data-value"), first);
});

test("the player plays by itself to the end, pauses by the space bar, and when the tab is hidden", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network`);
  const now = () => page.locator(".frames [aria-current]").getAttribute("data-frame");
  const shows = (frame) => page.locator(`.frames [data-frame="${frame}"][aria-current]`).waitFor();
  await page.getByLabel("Speed").selectOption("fast");
  await page.locator("main").focus();
  await page.keyboard.press(" ");
  await shows("x");
  await shows("h1");
  await page.keyboard.press(" ");
  await page.getByRole("button", { name: "Play" }).waitFor();
  const paused = await now();
  await page.waitForTimeout(1200);
  assert.equal(await now(), paused);
  await page.getByRole("button", { name: "Play" }).click();
  await page.locator(".frames [aria-current]:not([data-frame=h1])").waitFor();
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    delete document.hidden;
  });
  await page.getByRole("button", { name: "Play" }).waitFor();
  await page.locator('.frames [data-frame="dz1"]').click();
  await page.getByRole("button", { name: "Play" }).click();
  await shows("update");
  await page.getByRole("button", { name: "Play" }).waitFor();
  await page.locator("section.update").waitFor();
  await page.keyboard.press(" ");
  await shows("x");
});

test("the update of a model that Adam trains says that the step shown is that of SGD", async (t) => {
  const server = await serve(t);
  const { model } = await call(server.url, "TrainingService/CreateModel", {
    seed: 1,
    spec: { inputSize: 2, layers: [{ units: 2 }], adam: { learningRate: 0.5 }, clipNorm: 3 },
  });
  const page = await visit(t, await open(t), `${server.url}/#/network?model=${model.name}&frame=update&dir=backward`);
  await seen(page, ".update .trainer", "trained by Adam with clipped gradients");
  await seen(page, ".update", "η = 0.5");
  await page.goto(`${server.url}/#/network?frame=update&dir=backward`);
  await seen(page, ".update", "η = 0.1");
  assert.equal(await page.locator(".update .trainer").count(), 0);
});

test("changes of a network that is too large for a link are told to be on the page alone", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network?net=20-20-1&seed=1&at=W1.1.1`);
  const box = page.locator(".value-field input");
  await box.waitFor();
  assert.equal(await page.locator(".notice").count(), 0);
  await box.fill("0.25");
  await box.press("Enter");
  await seen(page, ".notice", "the link holds up to 400 numbers");
  assert.match(page.url(), /seed=1/);
  await assertAccessible(page, "a change beyond the link");
  await page.evaluate(() => {
    location.hash = "#/network?net=2-1&seed=1";
  });
  await page.locator(".notice").waitFor({ state: "detached" });
});

test("before the backward pass a gradient is not yet there, and not 0", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network?frame=loss&dir=backward`);
  await seen(page, '[data-matrix="dW1"]', "not yet");
  assert.equal(await page.locator(".half.unknown").count(), 2 + 2 * (3 + 2 + 1));
});

test("64 layers of 64 units are told, and the page does not freeze", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network?net=${Array(65).fill(64).join("-")}&seed=1`);
  await seen(page, ".summary", "too large for a picture");
  await page.locator(".summary tbody tr").nth(63).waitFor();
  await page.getByRole("button", { name: "← Backward" }).click();
  await page.locator('[data-matrix="dW1"] td').first().waitFor();
});

test("a link that cannot be read, and a model that is not there, are told", async (t) => {
  const server = await serve(t);
  const browser = await open(t);
  const page = await visit(t, browser, `${server.url}/#/network?net=4-x-1`);
  await seen(page, ".problem", "give the units of each layer");
  const other = await visit(t, browser, `${server.url}/#/network?model=sessions/none/models/hw`);
  await seen(other, ".problem", "The server has nothing of this name.");
});

test("while the server is gone the page says so, and continues when it is back", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/network?at=W1.1.1`, { allow: AWAY });
  await page.locator(".picture-bar .loss .number").waitFor();
  await server.stop();
  await page.locator(".value-field input").fill("0.25");
  await page.locator(".value-field input").press("Enter");
  await page.locator(".gone").waitFor();
  await server.again();
  await page.locator(".gone").waitFor({ state: "detached" });
  await page.waitForFunction(() => document.querySelector(".problem") === null);
});

test("every door, step and example is accessible and fits, in both themes and on a phone", {
  timeout: 300_000,
}, async (t) => {
  const server = await serve(t);
  const browser = await open(t);
  const places = [
    "#/",
    "#/network?choose=1",
    "#/network?frame=update&dir=backward",
    "#/network?tour=5&dir=backward&at=dW2.2.3",
  ];
  for (const name of ["dead-relu", "vanishing", "mask", "mean", "homework"])
    places.push(`#/network?example=${name}&dir=backward`);
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [375, 1440]) {
      const page = await visit(t, browser, server.url, { colorScheme, viewport: { width, height: 900 } });
      for (const place of places) {
        await page.goto(`${server.url}/${place}`);
        await page.locator(".picture-bar .loss .number").waitFor();
        const what = `${place} ${colorScheme} ${width}`;
        await assertNothingCut(page, what);
        await assertAccessible(page, what);
      }
    }
  }
});

/** Numbers for a test, the same in each run. */
function mulberry(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function randomNetwork(random) {
  const upTo = (most) => 1 + Math.floor(random() * most);
  const sizes = Array.from({ length: 1 + upTo(4) }, () => upTo(4));
  const layers = sizes.slice(1).map((units, index) => ({
    units,
    activation: ACTIVATIONS[Math.floor(random() * ACTIVATIONS.length)],
    bias: random() < 0.5,
    fanIn: sizes[index],
  }));
  const matrix = (rows, columns) =>
    Array.from({ length: rows }, () => Array.from({ length: columns }, () => 4 * random() - 2));
  const samples = upTo(3);
  return {
    inputSize: sizes[0],
    layers: layers.map(({ units, activation, bias, fanIn }) => ({
      units,
      activation,
      bias,
      W: matrix(units, fanIn),
      b: bias ? matrix(1, units) : undefined,
    })),
    loss: random() < 0.7 ? "half_squared_error" : "mean_squared_error",
    x: matrix(samples, sizes[0]),
    y: matrix(samples, sizes.at(-1)),
  };
}

/** The link of a network. */
function linkOf({ inputSize, layers, loss, x, y }) {
  const text = (matrix) => matrix.map((row) => row.join(",")).join(";");
  const parts = [
    `net=${[inputSize, ...layers.map((layer) => layer.units)].join("-")}`,
    `act=${layers.map((layer) => layer.activation).join(",")}`,
    `bias=${layers.map((layer) => Number(layer.bias)).join(",")}`,
    `loss=${loss}`,
    "rate=0.1",
    ...layers.map((layer, index) => `W${index + 1}=${text(layer.W)}`),
    ...layers.flatMap((layer, index) => (layer.b ? [`b${index + 1}=${text(layer.b)}`] : [])),
    `x=${text(x)}`,
    `y=${text(y)}`,
  ];
  return `#/network?${parts.join("&")}`;
}

const tensor = (matrix) => ({ shape: [matrix.length, matrix[0].length], values: matrix.flat() });

/** What the server says, asked by JSON: each quantity by its name on the page, the loss, and the weights after a step. */
async function expected(url, { inputSize, layers, loss, x, y }) {
  const spec = {
    inputSize,
    layers: layers.map(({ units, activation, bias }) => ({
      units,
      activation: `ACTIVATION_${activation.toUpperCase()}`,
      bias,
    })),
    loss: `LOSS_${loss.toUpperCase()}`,
    sgd: { learningRate: 0.1 },
  };
  const parameters = layers.map(({ W, b }) => ({
    weights: tensor(W),
    ...(b && { bias: { shape: [b[0].length], values: b[0] } }),
  }));
  const batch = { inputs: tensor(x), targets: tensor(y) };
  const gradients = await call(url, "TrainingService/Gradients", { inline: { spec, parameters }, ...batch });
  const created = await call(url, "TrainingService/CreateModel", { spec, parameters });
  const model = created.model.name;
  await fetch(`${url}/backprop.v1.TrainingService/TrainBatch`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, ...batch }),
  }).then((reply) => reply.text());
  const after = await call(url, "TrainingService/GetParameters", { model });
  await call(url, "SessionService/DeleteSession", { name: model.split("/models/")[0] });
  const names = { D_W: "dW", D_B: "db", D_Z: "dz", D_H: "dh", D_X: "dx", DELTA: "delta", LOSS_PER_SAMPLE: "loss" };
  const matrices = {};
  for (const { quantity, layer = 0, tensor: entries } of gradients.tensors) {
    const short = quantity.replace("QUANTITY_", "");
    const name = names[short] ?? (short === "W" ? "W" : short.toLowerCase());
    matrices[`${name}${layer || ""}`] = entries;
  }
  return { loss: gradients.loss, matrices, updated: after.parameters, last: layers.length };
}

/** The entries as the page writes them. */
function texts({ values }) {
  return values.map((value) => (Object.is(value, -0) ? "-0" : String(value)));
}

/** Every frame of the player in the order of the page. */
function framesOf({ layers }) {
  const last = layers.length;
  const forward = layers.flatMap((_, index) => [`z${index + 1}`, `h${index + 1}`]);
  const backward = Array.from({ length: last }, (_, index) => last - index).flatMap((i) =>
    i === 1 ? ["dW1"] : [`dW${i}`, `dh${i - 1}`, `dz${i - 1}`],
  );
  return ["x", ...forward, "loss", "delta", ...backward, "update"];
}

/** Goes to a network, waits for its pass, steps through the player, and reads all tables and both pictures. */
async function shownBy(page, network, loss) {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, linkOf(network));
  await page.waitForFunction(
    (text) => document.querySelector(".picture-bar .loss .number")?.dataset.value === text,
    String(loss),
  );
  return page.evaluate(async () => {
    const drawn = () => new Promise((resolve) => setTimeout(resolve));
    const tables = () =>
      Object.fromEntries(
        [...document.querySelectorAll(".tables [data-matrix]")].map((table) => [
          table.dataset.matrix,
          table.classList.contains("not-yet")
            ? "not yet"
            : [...table.querySelectorAll("td")].map((cell) => cell.dataset.value),
        ]),
      );
    const picture = () =>
      [...document.querySelectorAll(".diagram [data-value]")].map((part) => [part.dataset.entry, part.dataset.value]);
    const turn = (name) =>
      [...document.querySelectorAll(".picture-bar button")].find((b) => b.textContent.includes(name)).click();
    const read = { all: {}, frames: {}, picture: [], updated: {} };
    for (const direction of ["Forward", "Backward"]) {
      turn(direction);
      await drawn();
      Object.assign(read.all, tables());
      read.picture.push(...picture());
    }
    // A frame turns to its own direction.
    for (const name of [...document.querySelectorAll(".frames button")].map((button) => button.dataset.frame)) {
      document.querySelector(`.frames [data-frame="${name}"]`).click();
      await drawn();
      read.frames[name] = tables();
    }
    while (document.querySelectorAll(".update [data-matrix]").length === 0) await new Promise((r) => setTimeout(r, 5));
    for (const table of document.querySelectorAll(".update [data-matrix]")) {
      read.updated[table.dataset.matrix] = [...table.querySelectorAll("td")].map((cell) => cell.dataset.value);
    }
    return read;
  });
}

/** In a frame, what is computed by then equals Gradients, and everything later says "not yet". */
function compareTables(tables, { matrices, last }, frame, what) {
  assert.ok(Object.keys(tables).length > 0, `${frame}: ${what}`);
  const order = framesOf({ layers: Array(last).fill(0) });
  const when = (name) => {
    if (/^[Wbxy]/.test(name)) return 0;
    if (name === "dx") return order.indexOf("dW1");
    return order.indexOf(name.replace(/^db/, "dW"));
  };
  for (const [name, shown] of Object.entries(tables)) {
    const isKnown = when(name) <= order.indexOf(frame);
    assert.deepEqual(shown, isKnown ? texts(matrices[name]) : "not yet", `${name} at ${frame}: ${what}`);
  }
}

/** The picture of sample 1 has the same numbers. */
function comparePicture(picture, { matrices }, what) {
  assert.ok(picture.length > 0, what);
  for (const [entry, value] of picture) {
    const [place, row, column] = entry.split(".");
    const matrix = matrices[place];
    const index = (Number(row) - 1) * matrix.shape[1] + Number(column) - 1;
    assert.equal(value, texts(matrix)[index], `${entry}: ${what}`);
  }
}
