// Training: live curves, stop and resume, other clients' runs; divergence, quotas and bad files are told.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import {
  AWAY,
  afterwards,
  assertAccessible,
  call,
  longestFrame,
  open,
  scratch,
  seen,
  serve,
  visit,
} from "./harness.mjs";

const step = (page) => page.locator("[data-fact=step]").textContent().then(Number);

/** Waits until the page shows this step. */
const reaches = (page, wanted) =>
  page.waitForFunction((last) => Number(document.querySelector("[data-fact=step]")?.textContent) === last, wanted);

test("digits are learned before one's eyes, and the held-out rows are counted by class", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/training?epochs=5`);
  await page.click("button:has-text('Train')");
  await seen(page, ".status", "Finished");
  assert.equal(await step(page), 5 * 45);
  assert.equal(await page.locator(".plot canvas").count(), 2);
  await page.locator(".confusion-table").waitFor();
  const counts = await page.locator(".confusion-table td.diagonal").allTextContents();
  assert.equal(counts.length, 10);
  const all = await page.locator(".confusion-table tbody td").allTextContents();
  assert.equal(
    all.reduce((sum, count) => sum + Number(count), 0),
    359,
    "every held-out row is counted once",
  );
  const told = await call(server.url, "TrainingService/GetModel", {
    name: await page.locator(".name-of-model").textContent(),
  });
  assert.equal(Number(told.model.step), await step(page));
  await page.click("summary");
  assert.equal(await page.locator(".curves tbody tr").count(), 5);
  await assertAccessible(page, "a finished run");
});

test("a run is stopped, stays, and continues where it was; a reload finds it again", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/training?from=spirals&epochs=10000000`);
  await page.click("button:has-text('Train')");
  await page.waitForFunction(() => Number(document.querySelector("[data-fact=step]")?.textContent) > 50);
  await page.click("button:has-text('Stop')");
  await seen(page, ".status", "Stopped");
  const stopped = await step(page);
  await page.reload();
  await reaches(page, stopped);
  await page.goto(`${server.url}/#/training?from=spirals&epochs=10000000`);
  await page.click("button:has-text('Train')");
  await page.waitForFunction(() => Number(document.querySelector("[data-fact=step]")?.textContent) > 50);
  await page.click("button:has-text('Stop')");
  await seen(page, ".status", "Stopped");
  const second = await step(page);
  await page.click("button:has-text('Resume')");
  await page.waitForFunction(
    (least) => Number(document.querySelector("[data-fact=step]")?.textContent) > least,
    second,
  );
  await page.click("button:has-text('Stop')");
  await seen(page, ".status", "Stopped");
});

test("a run that diverges says so, and what to do", async (t) => {
  const server = await serve(t);
  const folder = scratch(t);
  const file = join(folder, "line.csv");
  const rows = Array.from({ length: 60 }, (_, at) => `${at * 1.5},${at * 100.25}`);
  writeFileSync(file, `x,y\n${rows.join("\n")}\n`);
  const page = await visit(t, await open(t), `${server.url}/#/training?from=file&lr=1000000&epochs=1000&hidden=8`);
  await page.setInputFiles("#file", file);
  await seen(page, ".plan", "60 rows, 1 features, a number to predict");
  await page.click("button:has-text('Train')");
  await seen(page, ".status.diverged", "Take a smaller learning rate");
  assert.match(await page.locator("[aria-live]").textContent(), /Diverged/);
  await assertAccessible(page, "a run that diverged");
});

test("a file that cannot be trained on is told with its line, and nothing is sent", async (t) => {
  const server = await serve(t);
  const folder = scratch(t);
  const page = await visit(t, await open(t), `${server.url}/#/training?from=file`);
  for (const [name, text, told] of [
    ["short.csv", "a,b\n1,2\n3\n", "Line 3 has 1 cells"],
    ["empty.csv", "a,b\n1,\n3,4\n", "empty cell"],
    ["one.csv", "a\n1\n2\n", "one column"],
    ["same.csv", "a,b\n1,x\n2,x\n", "nothing to learn"],
  ]) {
    const file = join(folder, name);
    writeFileSync(file, text);
    await page.setInputFiles("#file", file);
    await seen(page, ".plan [role=alert]", told);
    assert.ok(await page.locator("button:has-text('Train')").isDisabled(), name);
  }
  const file = join(folder, "colours.csv");
  writeFileSync(file, 'size,colour,kind\n1,"red, dark",a\n2,blue,b\n3,red,a\n4,blue,b\n5,red,a\n6,blue,b\n');
  await page.setInputFiles("#file", file);
  await seen(page, ".plan", "6 rows, 1 features, 2 classes. Columns of text are left out: colour.");
});

test("a limit of the server is told with its name", async (t) => {
  const server = await serve(t, "--max-units", "64");
  const page = await visit(t, await open(t), `${server.url}/#/training?hidden=65`);
  await page.click("button:has-text('Train')");
  const box = await seen(page, ".training-shown [role=alert], .training [role=alert]", "units");
  assert.match(await box.textContent(), /64/);
});

/** A page that watches a small network, how to train that, and which of its steps the page has asked for so far. */
async function watchedModel(t, options = {}) {
  const { args = [], ...visiting } = options;
  const server = await serve(t, ...args);
  await call(server.url, "SessionService/CreateSession", { sessionId: "lab" });
  const { model } = await call(server.url, "TrainingService/CreateModel", {
    session: "sessions/lab",
    modelId: "hw",
    seed: 1,
    spec: { inputSize: 4, layers: [{ units: 3 }, { units: 1 }] },
  });
  const train = (steps) =>
    fetch(`${server.url}/backprop.v1.TrainingService/TrainBatch`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: model.name,
        steps,
        learningRate: 0.001,
        metricsEvery: 1_000_000_000,
        inputs: { shape: [2, 4], values: [1, 2, 3, 4, -1, 0, 1, 2] },
        targets: { shape: [2, 1], values: [1, -1] },
      }),
    }).then((reply) => reply.text());
  const page = await visit(t, await open(t), `${server.url}/#/training`, visiting);
  const asked = [];
  // metrics_every is the last field, and below 128 one byte.
  page.on("request", (request) => {
    if (request.url().endsWith("/WatchModel")) asked.push(request.postDataBuffer().at(-1));
  });
  await page.click("text=List models");
  await page.click(`button:has-text('${model.name}')`);
  await seen(page, ".status", "no run is in progress");
  assert.deepEqual(asked, [1]);
  return { server, model, train, page, asked };
}

test("the run of another client is watched, and the page is back after the server was away", async (t) => {
  const { server, train, page } = await watchedModel(t, { args: ["--data-dir", scratch(t)], allow: AWAY });
  await train(20);
  await seen(page, ".status", "Finished");
  assert.equal(await step(page), 20);
  await server.stop();
  await page.evaluate(() => fetch("/favicon.ico").catch(() => undefined));
  await seen(page, "[role=alert]", "The server does not answer");
  await server.again();
  await page.waitForFunction(() => !document.querySelector(".gone"));
  await train(5);
  await reaches(page, 25);
});

test("a run of many thousand steps a second is watched by some of its steps, and the next run by each", async (t) => {
  const { server, model, train, page, asked } = await watchedModel(t);
  const long = train(100_000_000);
  while (asked.length < 2)
    await page.waitForRequest((request) => request.url().endsWith("/WatchModel"), { timeout: 60_000 });
  assert.ok(asked[1] > 1, "some of the steps");
  const shown = await step(page);
  await page.waitForFunction((last) => Number(document.querySelector("[data-fact=step]")?.textContent) > last, shown);
  const again = page.waitForResponse((response) => response.url().endsWith("/WatchModel"));
  await page.click("button:has-text('Stop')");
  await long;
  await seen(page, ".status", "Stopped");
  await again;
  const told = await call(server.url, "TrainingService/GetModel", { name: model.name });
  assert.equal(await step(page), Number(told.model.step));
  await train(5);
  await reaches(page, Number(told.model.step) + 5);
  await seen(page, ".status", "Finished");
  assert.equal(asked.at(-1), 1, "each step");
});

test("a watch that has told thousands of events is opened again, and goes on", async (t) => {
  const { train, page, asked } = await watchedModel(t);
  let steps = 0;
  // Three events each: it begins, a step, it ends.
  for (; asked.length < 2 && steps < 4000; steps++) await train(1);
  assert.deepEqual(asked, [1, 1], `after ${steps} runs`);
  assert.ok(steps > 1000, `after ${steps} runs`);
  await train(5);
  await reaches(page, steps + 5);
  await seen(page, ".status", "Finished");
});

test("the page draws every frame while 784-128-10 trains at full speed, in the same memory", async (t) => {
  const server = await serve(t, "--max-request-bytes", String(256 << 20));
  const url = server.url;
  await call(url, "SessionService/CreateSession", { sessionId: "big" });
  const { model } = await call(url, "TrainingService/CreateModel", {
    session: "sessions/big",
    modelId: "mnist",
    seed: 1,
    spec: { inputSize: 784, layers: [{ units: 128 }, { units: 10 }], loss: "LOSS_CROSS_ENTROPY" },
  });
  const rows = 256;
  const values = Float64Array.from({ length: rows * 784 }, (_, at) => ((at * 7919) % 255) / 255);
  const labels = Array.from({ length: rows }, (_, at) => at % 10);
  const abort = new AbortController();
  afterwards(t, () => abort.abort());
  const begun = fetch(`${url}/backprop.v1.TrainingService/TrainBatch`, {
    method: "POST",
    signal: abort.signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: model.name,
      steps: 100_000_000,
      minibatchSize: 32,
      learningRate: 0.001,
      onDisconnect: "ON_DISCONNECT_CONTINUE",
      metricsEvery: 1_000_000,
      inputs: { shape: [rows, 784], raw: Buffer.from(values.buffer).toString("base64") },
      labels,
    }),
  });
  begun.catch(() => undefined);
  const page = await visit(t, await open(t), `${url}/#/training?watch=${encodeURIComponent(model.name)}`);
  await page.waitForFunction(() => Number(document.querySelector("[data-fact=step]")?.textContent) > 200);
  const session = await page.context().newCDPSession(page);
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize;
  };
  const before = await heap();
  const first = await step(page);
  const seconds = Number(process.env.WATCH_SECONDS ?? "8");
  const { perSecond, longest } = await longestFrame(page, () => page.waitForTimeout(1000 * seconds));
  const [after, last] = [await heap(), await step(page)];
  t.diagnostic(
    `${Math.round((last - first) / seconds)} steps/s, ${perSecond.toFixed(1)} frames/s, longest ${longest.toFixed(0)} ms, heap ${(before / 1e6).toFixed(1)} to ${(after / 1e6).toFixed(1)} MB`,
  );
  assert.ok(last > first, "it trains");
  // A test machine has two cores, which the training has as well: a third of 60 frames is still a page that answers.
  assert.ok(perSecond > 20, `${perSecond} frames a second`);
  assert.ok(after - before < 6e6, `${before} to ${after} bytes`);
});
