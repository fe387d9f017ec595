// Each view in Firefox, by hand: Firefox speaks WebDriver BiDi, which puppeteer-core speaks as well.
//   npm install --no-save puppeteer-core && BACKPROPD_BIN=PROGRAM node tests/firefox.mjs
// FIREFOX names another than Debian's /usr/bin/firefox-esr. Exits with 1 if a view does not work, or says an error.
import puppeteer from "puppeteer-core";
import { start } from "./harness.mjs";

const VIEWS = {
  "#/": (page) => page.waitForSelector(".doors"),
  "#/network?example=mask&dir=backward&at=dW2.1.2": (page) => page.waitForSelector(".katex"),
  "#/homework?hw=hw-backprop&q=1.11": async (page) => {
    await page.waitForSelector("#answer");
    await page.type("#answer", "\\delta W^{3\\top} h^1");
    await page.waitForSelector(".reading .katex");
    await page.click(".answer button[type=submit]");
    await page.waitForSelector(".report.wrong");
  },
  "#/numbers": async (page) => {
    await page.type("#numbers", "dW1 = [[1, 2], [3, 4], [5, 6]]");
    await page.click(".numbers button[type=submit]");
    await page.waitForSelector("#results");
  },
  "#/training?epochs=3": async (page) => {
    await page.click(".plan button[type=submit]");
    await page.waitForFunction(() => document.querySelector(".status")?.textContent.includes("Finished"));
    await page.waitForSelector(".plot canvas");
  },
  "#/class": (page) => page.waitForSelector(".bars"),
};

const server = await start(["--port", "0"]);
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
  headless: true,
});
const faults = [];
try {
  console.log(await browser.version());
  for (const [at, act] of Object.entries(VIEWS)) {
    const page = await browser.newPage();
    page.on("pageerror", (error) => faults.push(`${at}: ${error.message}`));
    page.on("console", (message) => message.type() === "error" && faults.push(`${at}: ${message.text()}`));
    await page.goto(`${server.url}/${at}`);
    await act(page);
    console.log(`${at}: ok`);
    await page.close();
  }
} finally {
  await browser.close();
  server.child.kill();
}
for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
