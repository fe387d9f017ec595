// Each view in Firefox or WebKit, by hand. Exits with 1 if a view does not work, or says an error.
//   npm install --no-save puppeteer-core && BACKPROPD_BIN=PROGRAM node tests/browsers.mjs firefox
//   BACKPROPD_BIN=PROGRAM xvfb-run node tests/browsers.mjs webkit     (Debian: webkit2gtk-driver, xvfb)
// FIREFOX and MINIBROWSER name others than Debian's. Firefox speaks WebDriver BiDi by puppeteer-core; WebKitGTK speaks
// WebDriver, which is plain HTTP.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "./harness.mjs";

const PATIENCE_MS = 20_000;

/** What a reader does in each view, and what then has to be seen. */
const VIEWS = {
  "#/": async (page) => {
    await page.see(".doors");
    await page.see(".picture-bar .loss .number");
  },
  "#/network?example=mask&dir=backward&at=dW2.1.2": async (page) => {
    await page.see(".why-entry .katex");
    await page.click('.player button[aria-label="One step forward"]');
    await page.see('.frames [data-frame="x"][aria-current]');
    await page.choose(".pace select", "fast");
    await page.click('.player button[aria-label="Play"]');
    await page.see('.frames [data-frame="h1"][aria-current]');
    await page.click('.player button[aria-label="Pause"]');
  },
  "#/network?frame=update&dir=backward": (page) => page.see(".update .matrix td"),
  "#/homework?hw=hw-backprop&q=1.11": async (page) => {
    await page.type("#answer", "\\delta W^{3\\top} h^1");
    await page.see(".reading .katex");
    await page.click(".answer button[type=submit]");
    await page.see(".report.wrong");
  },
  "#/numbers": async (page) => {
    await page.type("#numbers", "dW1 = [[1, 2], [3, 4], [5, 6]]");
    await page.click(".numbers button[type=submit]");
    await page.see("#results");
  },
  "#/training?epochs=3": async (page) => {
    await page.click(".plan button[type=submit]");
    await page.see('.status[data-phase="ended"] strong', "Finished");
    await page.see(".plot canvas");
    await page.see(".confusion-table td.diagonal");
  },
  "#/class": (page) => page.see(".bars"),
};

/** A page of Firefox. */
async function firefox(faults) {
  const { default: puppeteer } = await import("puppeteer-core");
  const executablePath = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
  const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  return {
    version: await browser.version(),
    goTo: (url) => page.goto(url),
    run: (script, ...args) => page.evaluate(`(${script})(...${JSON.stringify(args)})`),
    async type(selector, text) {
      await page.waitForSelector(selector);
      await page.type(selector, text);
    },
    leave: async () => undefined,
    close: () => browser.close(),
  };
}

/** A port that nothing listens on. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Where Debian's MiniBrowser is: /usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser. */
function miniBrowser() {
  const [folder] = readdirSync("/usr/lib").filter((name) => name.endsWith("-linux-gnu"));
  const [version] = readdirSync(`/usr/lib/${folder}`).filter((name) => name.startsWith("webkit2gtk-"));
  return `/usr/lib/${folder}/${version}/MiniBrowser`;
}

/** A page of WebKitGTK's MiniBrowser. The driver hands no console on: what the page itself tells is looked for. */
async function webkit(faults) {
  const port = await freePort();
  const driver = spawn("WebKitWebDriver", [`--port=${port}`], {
    stdio: "inherit",
    // Without a language it says that the reader's is "C", which its own Intl refuses, and with it uPlot.
    env: { ...process.env, LANG: "en_US.UTF-8", LC_ALL: "en_US.UTF-8", LANGUAGE: "en" },
  });
  const ask = async (method, path, body) => {
    const reply = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    });
    const { value } = await reply.json();
    if (!reply.ok) throw new Error(`${path}: ${value.message || value.error}`);
    return value;
  };
  const binary = process.env.MINIBROWSER ?? miniBrowser();
  const options = { binary, args: ["--automation"] };
  const wanted = { alwaysMatch: { browserName: "MiniBrowser", "webkitgtk:browserOptions": options } };
  let session;
  for (let tries = 0; !session; tries++) {
    await sleep(200);
    session = await ask("POST", "/session", { capabilities: wanted }).catch((error) => {
      if (tries === 20) throw error;
    });
  }
  const at = `/session/${session.sessionId}`;
  const run = (script, ...args) =>
    ask("POST", `${at}/execute/sync`, { script: `return (${script})(...arguments)`, args });
  return {
    version: `${session.capabilities.browserName} ${session.capabilities.browserVersion}`,
    async goTo(url) {
      // Another address with the same file would be the same page.
      await ask("POST", `${at}/url`, { url: "about:blank" });
      await ask("POST", `${at}/url`, { url });
      await run(`() => {
        window.faults = [];
        addEventListener("error", (event) => window.faults.push(event.message));
        addEventListener("unhandledrejection", ({ reason }) => window.faults.push(String(reason)));
      }`);
    },
    run,
    async type(selector, text) {
      const element = Object.values(await ask("POST", `${at}/element`, { using: "css selector", value: selector }))[0];
      await ask("POST", `${at}/element/${element}/value`, { text });
    },
    async leave() {
      faults.push(...(await run("() => window.faults")));
    },
    async close() {
      await ask("DELETE", at);
      driver.kill();
    },
  };
}

/** What a view's path is written with, on top of a page that can run a script and type. */
function reader(page) {
  const see = async (selector, text = "") => {
    const isThere = `(selector, text) => [...document.querySelectorAll(selector)].some((e) => e.textContent.includes(text))`;
    for (const end = Date.now() + PATIENCE_MS; !(await page.run(isThere, selector, text)); await sleep(50)) {
      if (Date.now() < end) continue;
      const main = await page.run("() => document.querySelector('main')?.innerText ?? ''");
      throw new Error(`${selector} ${text} was not seen. The page says:\n${main}`);
    }
  };
  return {
    see,
    async click(selector) {
      await see(`${selector}:not(:disabled)`);
      await page.run("(selector) => { document.querySelector(selector).click(); }", selector);
    },
    async choose(selector, value) {
      await see(selector);
      const pick = `(selector, value) => {
        const list = document.querySelector(selector);
        list.value = value;
        list.dispatchEvent(new Event("change", { bubbles: true }));
      }`;
      await page.run(pick, selector, value);
    },
    async type(selector, text) {
      await see(selector);
      await page.type(selector, text);
    },
  };
}

const BROWSERS = { firefox, webkit };
const name = process.argv[2] ?? "";
if (!(name in BROWSERS)) {
  console.error("usage: node tests/browsers.mjs firefox|webkit");
  process.exit(2);
}
const faults = [];
const server = await start(["--port", "0"]);
const page = await BROWSERS[name](faults);
try {
  console.log(page.version);
  for (const [at, act] of Object.entries(VIEWS)) {
    await page.goTo(`${server.url}/${at}`);
    try {
      await act(reader(page));
    } finally {
      await page.leave();
    }
    const told = await page.run(
      "() => [...document.querySelectorAll('main > * .problem')].map((box) => box.innerText).join()",
    );
    if (told) faults.push(`${at}: ${told}`);
    console.log(`${at}: ok`);
  }
} finally {
  for (const fault of faults) console.error(fault);
  await page.close();
  server.child.kill();
}
process.exitCode = faults.length > 0 ? 1 : 0;
