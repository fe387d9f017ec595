// The page: how soon it is there on a slow processor, how smoothly it draws a run, and what watching costs the server.
//   BACKPROPD_BIN=PROGRAM node benches/compare/page.mjs [start] [frames] [cost]
// Needs Node 20.19 or newer, `npm ci` in web, and Chromium (CHROMIUM names another than /usr/bin/chromium). Prints figures and
// asserts nothing; all three parts take about four minutes. RUNS (10) is the number of loads, ROUNDS (16) that of rounds of runs.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { call, launch, longestFrame, start } from "../../web/tests/harness.mjs";

const RUNS = Number(process.env.RUNS ?? "10");
const ROUNDS = Number(process.env.ROUNDS ?? "16");

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const spread = (values, digits) =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`;

/** Milliseconds from the navigation until the picture has its numbers, and until a frame after that is drawn. */
async function load(browser, url, slowdown) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: slowdown });
  await page.addInitScript(() => {
    const isThere = () => document.querySelector(".picture-bar .loss .number") && document.querySelector(".frames button");
    const observer = new MutationObserver(() => {
      if (!isThere()) return;
      observer.disconnect();
      // The main thread is free again when it gets to a task behind the next frame.
      requestAnimationFrame(() =>
        setTimeout(() => {
          window.interactiveAt = performance.now();
        }),
      );
    });
    observer.observe(document, { childList: true, subtree: true, characterData: true });
  });
  await page.goto(`${url}/#/`);
  await page.waitForFunction(() => window.interactiveAt !== undefined);
  const at = await page.evaluate(() => window.interactiveAt);
  await context.close();
  return at;
}

async function measureStart(server, browser) {
  await load(browser, server.url, 1);
  for (const slowdown of [1, 4]) {
    const times = [];
    for (let run = 0; run < RUNS; run++) times.push(await load(browser, server.url, slowdown));
    console.log(`first view interactive, CPU slowed ${slowdown} x: ${spread(times, 0)} ms, median of ${RUNS} cold loads`);
  }
}

/** Networks whose runs are watched: MNIST's size, and one so small that a step takes two microseconds. */
const LARGE = { sizes: [784, 128, 10], loss: "LOSS_CROSS_ENTROPY", steps: 6_000 };
const SMALL = { sizes: [4, 3, 2, 1], loss: "LOSS_HALF_SQUARED_ERROR", steps: 6_000_000 };

const ROWS = 256;
const tensor = (columns) => {
  const values = Float64Array.from({ length: ROWS * columns }, (_, at) => ((at * 7919) % 255) / 255);
  return { shape: [ROWS, columns], raw: Buffer.from(values.buffer).toString("base64") };
};

async function createModel(server, modelId, { sizes: [inputSize, ...units], loss }) {
  const spec = { inputSize, layers: units.map((count) => ({ units: count })), loss };
  const { model } = await call(server.url, "TrainingService/CreateModel", { session: "sessions/page", modelId, seed: 1, spec });
  return model.name;
}

/** Trains it in mini-batches of 32; the client reads no metrics. */
async function train(server, model, { sizes, loss }, steps, signal) {
  const target = sizes.at(-1);
  const labels = Array.from({ length: ROWS }, (_, at) => at % target);
  const samples = { inputs: tensor(sizes[0]), ...(loss === "LOSS_HALF_SQUARED_ERROR" ? { targets: tensor(target) } : { labels }) };
  const request = { model, steps, minibatchSize: 32, learningRate: 0.001, metricsEvery: 1_000_000_000, ...samples };
  const reply = await fetch(`${server.url}/backprop.v1.TrainingService/TrainBatch`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
    signal,
  });
  const text = await reply.text();
  if (!text.includes('"completed"')) throw new Error(text);
}

const shownStep = (page) => page.locator("[data-fact=step]").textContent().then(Number);

async function watch(page, server, model) {
  await page.goto(`${server.url}/#/training?watch=${encodeURIComponent(model)}`);
  await page.locator(".status[data-phase]").waitFor();
  await page.locator(".plot canvas").first().waitFor();
}

async function measureFrames(server, browser) {
  const model = await createModel(server, "frames", LARGE);
  const abort = new AbortController();
  const run = train(server, model, LARGE, 10_000_000, abort.signal).catch(() => undefined);
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await watch(page, server, model);
  await page.waitForFunction(() => Number(document.querySelector("[data-fact=step]")?.textContent) > 200);
  const first = await shownStep(page);
  const { perSecond, longest } = await longestFrame(page, () => sleep(10_000));
  const steps = ((await shownStep(page)) - first) / 10;
  console.log(`training view: ${perSecond.toFixed(1)} frames/s, longest ${longest.toFixed(0)} ms, at ${steps.toFixed(0)} steps/s`);
  await page.close();
  abort.abort();
  await run;
}

/** Seconds of processor time that each thread of a process has used. */
function processorTimes(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  return new Map(threads.map((id) => [id, Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]) / 1e9]));
}

/**
 * Who watches a run, by name: none; a process that reads the page's stream and does nothing else, so that what the server
 * spends is seen alone; the page, whose browser has the same processors.
 */
function watchers(server, page) {
  let asked;
  // Of a fast run the page asks for each step at first and at the end, and between for every so many: a greater last number.
  page.on("request", (request) => {
    if (!request.url().endsWith("/WatchModel")) return;
    if (!asked || Buffer.compare(asked.postDataBuffer(), request.postDataBuffer()) <= 0) asked = request;
  });
  return {
    alone: async () => {
      await page.goto("about:blank");
      return () => undefined;
    },
    read: async () => {
      await page.goto("about:blank");
      const abort = new AbortController();
      // The page's own request: all runs are of a model of one name.
      const [headers, body] = [await asked.allHeaders(), asked.postDataBuffer()];
      const { body: stream } = await fetch(asked.url(), { method: "POST", headers, body, signal: abort.signal });
      const reading = (async () => {
        for await (const _ of stream);
      })().catch(() => undefined);
      return async () => {
        abort.abort();
        await reading;
      };
    },
    shown: async (model, steps) => {
      // A page that shows this address already would not begin again.
      await page.goto("about:blank");
      asked = undefined;
      await watch(page, server, model);
      return () => page.waitForFunction((last) => Number(document.querySelector("[data-fact=step]")?.textContent) === last, steps);
    },
  };
}

/**
 * Seconds of a run: by the clock, of the server's processor time, and of the part of it that calls take. One thread trains and
 * its helpers multiply; what the others use is for calls. It is measured apart because two equal runs differ by a tenth.
 */
async function timed(server, network, begin) {
  const model = await createModel(server, "cost", network);
  const finish = await begin(model, network.steps);
  await sleep(300);
  const [before, began] = [processorTimes(server.child.pid), performance.now()];
  await train(server, model, network, network.steps);
  const wall = (performance.now() - began) / 1000;
  const used = [...processorTimes(server.child.pid)].map(([id, seconds]) => ({ id, seconds: seconds - (before.get(id) ?? 0) }));
  const isHelper = ({ id }) => readFileSync(`/proc/${server.child.pid}/task/${id}/comm`, "utf8").startsWith("helper");
  const sum = (threads) => threads.reduce((total, { seconds }) => total + seconds, 0);
  const [, ...calls] = used.filter((thread) => !isHelper(thread)).sort((a, b) => b.seconds - a.seconds);
  await finish();
  await call(server.url, "TrainingService/DeleteModel", { name: model });
  return { wall, processor: sum(used), calls: sum(calls) };
}

async function measureCost(server, browser) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const ways = watchers(server, page);
  const names = Object.keys(ways);
  for (const network of [LARGE, SMALL]) {
    await timed(server, network, ways.shown);
    const runs = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (let turn = 0; turn < names.length; turn++) {
        const name = names[(round + turn) % names.length];
        runs[name].push(await timed(server, network, ways[name]));
      }
    }
    const alone = runs.alone.map(({ wall }) => wall);
    const rate = (network.steps / median(alone)).toFixed(0);
    console.log(`${network.sizes.join("-")}, ${network.steps} steps, median of ${ROUNDS} rounds: ${rate} steps/s alone`);
    for (const [name, who] of [
      ["alone", "nothing watches"],
      ["read", "a process reads the page's stream, and does nothing else"],
      ["shown", "the page watches, its browser on the same processors"],
    ]) {
      const calls = runs[name].map((one) => (100 * one.calls) / one.processor);
      const longer = runs[name].map(({ wall }, round) => 100 * (wall / alone[round] - 1));
      console.log(`  ${who}: ${spread(calls, 2)} % of the processor time is for calls, the run takes ${spread(longer, 1)} % longer`);
    }
  }
  await page.close();
}

const PARTS = { start: measureStart, frames: measureFrames, cost: measureCost };
const wanted = process.argv.slice(2);
const server = await start(["--port", "0", "--max-request-bytes", String(256 << 20)]);
const browser = await launch();
try {
  console.log(`Chromium ${browser.version()}`);
  await call(server.url, "SessionService/CreateSession", { sessionId: "page" });
  for (const [name, measure] of Object.entries(PARTS)) {
    if (wanted.length === 0 || wanted.includes(name)) await measure(server, browser);
  }
} finally {
  await browser.close();
  server.child.kill();
}
