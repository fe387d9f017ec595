// The page: how soon it is there on a slow processor, how smoothly it draws a run, and what watching costs the server.
//   BACKPROPD_BIN=PROGRAM node benches/compare/page.mjs [start] [frames] [cost]
// Needs Node 20.19 or newer, `npm ci` in web, and Chromium (CHROMIUM names another than /usr/bin/chromium). Prints figures and
// asserts nothing; all three parts take about four minutes. RUNS (10) is the number of loads, PAIRS (12) that of pairs of runs.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { call, launch, longestFrame, start } from "../../web/tests/harness.mjs";

const RUNS = Number(process.env.RUNS ?? "10");
const PAIRS = Number(process.env.PAIRS ?? "12");
const STEPS = Number(process.env.STEPS ?? "6000");

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

const ROWS = 256;
const BATCH = {
  inputs: {
    shape: [ROWS, 784],
    raw: Buffer.from(Float64Array.from({ length: ROWS * 784 }, (_, at) => ((at * 7919) % 255) / 255).buffer).toString("base64"),
  },
  labels: Array.from({ length: ROWS }, (_, at) => at % 10),
};

/** A model of MNIST's size. */
async function createModel(server, modelId) {
  const spec = { inputSize: 784, layers: [{ units: 128 }, { units: 10 }], loss: "LOSS_CROSS_ENTROPY" };
  const { model } = await call(server.url, "TrainingService/CreateModel", { session: "sessions/page", modelId, seed: 1, spec });
  return model.name;
}

/** Trains it in mini-batches of 32; the client reads no metrics. */
async function train(server, model, steps, signal) {
  const request = { model, steps, minibatchSize: 32, learningRate: 0.001, metricsEvery: 1_000_000_000, ...BATCH };
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
  const model = await createModel(server, "frames");
  const abort = new AbortController();
  const run = train(server, model, 10_000_000, abort.signal).catch(() => undefined);
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

/** Seconds of processor time that a process has used. */
function processorTime(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  // User and system time, in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Wall clock and the server's processor time of a run, in seconds. */
async function timed(server, page, isWatched, name) {
  const model = await createModel(server, name);
  if (isWatched) await watch(page, server, model);
  else await page.goto("about:blank");
  await sleep(300);
  const [processor, began] = [processorTime(server.child.pid), performance.now()];
  await train(server, model, STEPS);
  const seconds = { wall: (performance.now() - began) / 1000, processor: processorTime(server.child.pid) - processor };
  if (isWatched) {
    await page.waitForFunction((last) => Number(document.querySelector("[data-fact=step]")?.textContent) === last, STEPS);
  }
  await call(server.url, "TrainingService/DeleteModel", { name: model });
  return seconds;
}

async function measureCost(server, browser) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await timed(server, page, true, "warm");
  const [alone, watched] = [[], []];
  for (let pair = 0; pair < PAIRS; pair++) {
    const order = pair % 2 === 0 ? [false, true] : [true, false];
    for (const isWatched of order) {
      (isWatched ? watched : alone).push(await timed(server, page, isWatched, `pair-${pair}-${isWatched}`));
    }
  }
  const ratios = (what) => watched.map((one, pair) => 100 * (one[what] / alone[pair][what] - 1));
  const rate = (runs) => (STEPS / median(runs.map(({ wall }) => wall))).toFixed(0);
  console.log(`a run of ${STEPS} steps, median of ${PAIRS} pairs: ${rate(alone)} steps/s alone, ${rate(watched)} watched`);
  console.log(`a watching page costs the server ${spread(ratios("processor"), 2)} % of its processor time`);
  console.log(`the run takes ${spread(ratios("wall"), 2)} % longer, with the browser on the same machine`);
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
