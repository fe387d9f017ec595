// What every test of the page shares: a real server as a child, a real browser, and rules that hold on every page.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** The program under test. */
export const PROGRAM = process.env.BACKPROPD_BIN ?? new URL("../../target/release/backpropd", import.meta.url).pathname;

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The views, as the address names them. */
export const VIEWS = ["network", "homework", "numbers", "training", "class"];

const cleanups = new WeakMap();

/** Does `work` after the test: what was begun last ends first, so that no page outlives its server. */
export function afterwards(test, work) {
  const all = cleanups.get(test);
  if (all) return all.push(work);
  const works = [work];
  cleanups.set(test, works);
  test.after(async () => {
    let failed;
    for (const one of works.reverse()) {
      try {
        await one();
      } catch (error) {
        failed ??= error;
      }
    }
    if (failed) throw failed;
  });
}

/** A folder that is gone after the test. */
export function scratch(test) {
  const folder = mkdtempSync(join(tmpdir(), "backpropd-page-"));
  afterwards(test, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A server in memory on a free port; it ends with the test. */
export async function serve(test, ...args) {
  const server = await start(["--port", "0", ...args]);
  let current = server.child;
  afterwards(test, () => current.kill("SIGKILL"));
  return {
    url: server.url,
    /** Ends the server; nothing listens from then on. */
    async stop() {
      const ended = new Promise((resolve) => current.once("exit", resolve));
      current.kill("SIGKILL");
      await ended;
    },
    /** Starts it again at the same address. */
    async again() {
      current = (await start(["--port", new URL(server.url).port, ...args])).child;
    },
  };
}

/** Starts a server with these arguments; the caller ends it. */
export async function start(args) {
  const storage = args.includes("--data-dir") ? [] : ["--ephemeral"];
  const child = spawn(PROGRAM, ["serve", ...storage, "--log", "error", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /listening on (\S+)/.exec(line)?.[1];
    if (!address) continue;
    child.stdout.resume();
    return { child, url: `http://${address}` };
  }
  throw new Error(`${PROGRAM} ended before it listened`);
}

/** Runs the program, and returns what it prints. */
export function run(...args) {
  return execFileSync(PROGRAM, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Calls a method of a server with JSON. */
export async function call(url, method, message, token) {
  const reply = await fetch(`${url}/backprop.v1.${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(message),
  });
  const text = await reply.text();
  assert.equal(reply.status, 200, `${method}: ${text}`);
  return JSON.parse(text);
}

/** A browser; the caller ends it. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
  });
}

/** A browser that ends with the test. */
export async function open(test) {
  const browser = await launch();
  afterwards(test, () => browser.close());
  return browser;
}

/**
 * A page of the server. Nothing may leave its origin, no script may fail, and the policy may refuse nothing; `allow` are
 * texts of the console that a test provokes.
 */
export async function visit(test, browser, url, options = {}) {
  const { allow = [], ...rest } = options;
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    reducedMotion: "reduce",
    ...rest,
  });
  const page = await context.newPage();
  const faults = [];
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "blob:" && origin !== new URL(url).origin) faults.push(`a request to ${request.url()}`);
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !allow.some((part) => text.includes(part))) faults.push(text);
  });
  afterwards(test, async () => {
    await context.close();
    assert.deepEqual(faults, []);
  });
  page.setDefaultTimeout(20_000);
  await page.goto(url);
  return page;
}

/** The console of a page whose server is away. */
export const AWAY = [
  "ERR_CONNECTION_REFUSED",
  "ERR_CONNECTION_RESET",
  "ERR_EMPTY_RESPONSE",
  "ERR_INCOMPLETE_CHUNKED_ENCODING",
  "Failed to load resource",
  "ERR_NETWORK",
];

/** Fails if axe finds a violation of WCAG 2.2 AA or of its best practices. */
export async function assertAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  const found = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((n) => n.target.join(" ")).join(", ")}`,
  );
  assert.deepEqual(found, [], what);
}

/** Nothing is wider than the window. */
export async function assertNothingCut(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${what}: the page is ${wide} px wider than its window`);
}

/** A slow line: half a second there and back, 40 kB/s. */
export async function slowDown(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 500,
    downloadThroughput: 40_000,
    uploadThroughput: 40_000,
  });
}

/** Waits for an element with this text, and returns it. */
export async function seen(page, selector, text) {
  const found = page.locator(selector).filter({ hasText: text }).first();
  await found.waitFor();
  return found;
}

/** The longest time between two frames while `work` is done, in milliseconds. */
export async function longestFrame(page, work) {
  await page.evaluate(() => {
    const state = { last: performance.now(), longest: 0, frames: 0, began: performance.now(), isOn: true };
    window.frameState = state;
    const tick = (now) => {
      state.longest = Math.max(state.longest, now - state.last);
      state.last = now;
      state.frames += 1;
      if (state.isOn) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  await work();
  return page.evaluate(() => {
    const { longest, frames, began } = window.frameState;
    window.frameState.isOn = false;
    return { longest, perSecond: (1000 * frames) / (performance.now() - began) };
  });
}
