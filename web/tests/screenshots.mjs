// Pictures of every view, light and dark, wide and narrow, into docs/screenshots.
//   BACKPROPD_BIN=PROGRAM node tests/screenshots.mjs [NAME…]
// NAMEs are those of SCENES below; all without one. A scene is an address and what a reader does there. PICTURES (file:///…/)
// names another folder.
import { mkdir, stat, writeFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { call, seen, start } from "./harness.mjs";

const LOOKS = [
  { name: "light-wide", colorScheme: "light", viewport: { width: 1280, height: 800 } },
  { name: "dark-wide", colorScheme: "dark", viewport: { width: 1280, height: 800 } },
  { name: "light-narrow", colorScheme: "light", viewport: { width: 375, height: 740 } },
  { name: "dark-narrow", colorScheme: "dark", viewport: { width: 375, height: 740 } },
];

const WRONG = "\\delta W^{3\\top} h^1";

const settled = async (page) => {
  await page.locator("main h1").first().waitFor();
  await page.waitForLoadState("networkidle");
};

const SCENES = {
  start: { at: "#/" },
  backward: { at: "#/network?example=mask&dir=backward&at=dW2.1.2" },
  homework: {
    at: "#/homework?hw=hw-backprop&q=1.11",
    async act(page) {
      await page.fill("#answer", WRONG);
      await page.locator(".reading .katex").waitFor();
      await page.click("text=Check");
      await seen(page, ".report", "Wrong");
    },
  },
  numbers: {
    at: "#/numbers?net=2-2-1&W1=0.5,-1;1.5,0.25&W2=1,-2&x=1,2;-1,0.5&y=1;-1",
    async act(page) {
      await page.fill("#numbers", "dW1 = array([[ 0.5 , -0.25],\n             [ 7.25, 14.5 ]])");
      await page.click("button:has-text('Compare')");
      await page.locator("#results").waitFor();
    },
  },
  training: {
    at: "#/training?epochs=20",
    async act(page) {
      await page.click("button:has-text('Train')");
      await seen(page, ".status", "Finished");
      await page.locator(".confusion-table").waitFor();
    },
  },
  class: {
    at: "#/class?hw=hw-backprop",
    act: (page) => page.locator(".bars th").first().waitFor(),
  },
  wall: {
    at: "#/class?hw=hw-backprop&wall=1.11",
    act: (page) => page.locator(".bars th").first().waitFor(),
  },
};

/** A class that has handed in. */
async function handIn(url) {
  const given = [
    { 1.11: WRONG, 1.1: "\\delta h^2_{1,1}", 2.1: "f - y" },
    { 1.11: "(\\delta W^3 \\odot (z^2 \\geq 0))^\\top h^1", 1.1: "\\delta h^2_{1,1}", 2.1: "f - y" },
    { 1.11: "-(\\delta W^3 \\odot (z^2 \\geq 0))^\\top h^1", 1.1: "-\\delta h^2_{1,1}" },
    { 1.11: WRONG, 1.3: "\\delta h^2" },
    { 1.11: WRONG, 1.2: "\\delta h^2_{1,2}" },
  ];
  for (const answers of given) await call(url, "GradingService/GradeFormulas", { assignment: "hw-backprop", answers });
}

const folder = new URL(process.env.PICTURES ?? "../../docs/screenshots/", import.meta.url);
const wanted = process.argv.slice(2);
const server = await start(["--port", "0"]);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  await handIn(server.url);
  await mkdir(folder, { recursive: true });
  for (const [name, { at, act }] of Object.entries(SCENES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    for (const { name: look, ...options } of LOOKS) {
      const context = await browser.newContext({ ...options, reducedMotion: "reduce" });
      const page = await context.newPage();
      await page.goto(`${server.url}/${at}`);
      await settled(page);
      await act?.(page);
      await page.waitForTimeout(500);
      await page.evaluate(() => scrollTo(0, 0));
      const file = new URL(`${name}-${look}.webp`, folder);
      await writeFile(file, await webp(page, browser));
      console.log(`${name}-${look}.webp`, (await stat(file)).size);
      await context.close();
    }
  }
} finally {
  await browser.close();
  server.child.kill();
}

/** A screenshot as WebP: a third of a PNG's bytes. The browser itself converts it. */
async function webp(page, browser) {
  const png = await page.screenshot();
  const canvas = await browser.newPage();
  const bytes = await canvas.evaluate(async (text) => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${text}`)).blob());
    const board = new OffscreenCanvas(bitmap.width, bitmap.height);
    board.getContext("2d").drawImage(bitmap, 0, 0);
    const blob = await board.convertToBlob({ type: "image/webp", quality: 0.9 });
    return Array.from(new Uint8Array(await blob.arrayBuffer()));
  }, png.toString("base64"));
  await canvas.close();
  return Buffer.from(bytes);
}
