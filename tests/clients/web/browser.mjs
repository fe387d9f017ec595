// Chromium on gRPC-Web and JSON over TLS, and a page of a foreign origin:  node browser.mjs PORT [TOKEN]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [port, token] = process.argv.slice(2);
const here = new URL(".", import.meta.url).pathname;
const descriptors = readFileSync(new URL("../../../proto/generated/descriptors.binpb", import.meta.url)).toString("base64");
const bundle = await build({ entryPoints: [`${here}client.js`], bundle: true, write: false, format: "iife" });
const script = bundle.outputFiles[0].text;

// A page of another origin, which must get nothing.
const foreign = createServer((_, reply) => reply.setHeader("content-type", "text/html").end("<p>foreign</p>")).listen(0, "127.0.0.1");
await new Promise((resolve) => foreign.once("listening", resolve));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--host-resolver-rules=MAP evil.example 127.0.0.1`,
  ],
});
try {
  // The authority is not installed in the browser; openssl and curl check the certificate.
  const context = await browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: true });
  const page = await context.newPage();
  const home = await page.goto(`https://localhost:${port}/`);
  assert.equal(home.status(), 200);
  assert.match(home.headers()["content-security-policy"], /default-src 'self'/);
  await page.evaluate(script);
  for (const transport of ["grpc-web", "connect"]) {
    const seen = await page.evaluate(([d, t, k]) => globalThis.play(d, t, k), [descriptors, transport, token]);
    assert.ok(Number.isFinite(seen.loss), JSON.stringify(seen));
    if (transport === "grpc-web") assert.equal(seen.events.at(-1), "completed", JSON.stringify(seen));
    assert.equal(seen.refusal.code, 3, JSON.stringify(seen));
    assert.ok(seen.refusal.details.some((type) => type.includes("ErrorInfo")), JSON.stringify(seen));
  }
  // By rebinding, a page of evil.example reaches the server's address under its own name.
  const rebound = await page.goto(`https://evil.example:${port}/`).catch((error) => error);
  assert.equal(rebound.status?.(), 403, String(rebound));
  const stranger = await context.newPage();
  await stranger.goto(`http://127.0.0.1:${foreign.address().port}/`);
  const stolen = await stranger.evaluate(async (url) => {
    try {
      const reply = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
      return { status: reply.status, text: await reply.text() };
    } catch (error) {
      return String(error);
    }
  }, `https://localhost:${port}/backprop.v1.ServerService/GetServerInfo`);
  assert.equal(typeof stolen, "string", JSON.stringify(stolen));
  console.log("Chromium: gRPC-Web and JSON; a foreign page gets nothing");
} finally {
  await browser.close();
  foreign.close();
}
