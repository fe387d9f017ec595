// The five tasks of docs/page.md, as its reader does them; each takes far less than the two minutes that it has.
import assert from "node:assert/strict";
import test from "node:test";
import { open, seen, serve, visit } from "./harness.mjs";

const MOST_MS = 120_000;

function task(name, play) {
  test(name, async (t) => {
    const server = await serve(t);
    const page = await visit(t, await open(t), server.url);
    const began = Date.now();
    await play(page, server.url);
    assert.ok(Date.now() - began < MOST_MS);
  });
}

task("find the dead unit", async (page, url) => {
  await page.goto(`${url}/#/network?example=dead-relu`);
  await page.locator("svg").first().waitFor();
  await page.click("button:has-text('Backward')");
  const row = [1, 2].map((column) =>
    page.locator(`[data-entry="dW1[2,${column}]"], [data-entry="dW¹₂${"₁₂"[column - 1]}"]`).first(),
  );
  for (const entry of row) assert.equal(await entry.getAttribute("data-value"), "0");
});

task("say why an entry of dW² is 0", async (page, url) => {
  await page.goto(`${url}/#/network?example=mask&dir=backward&at=dW2.1.2`);
  await seen(page, "main", "A sum of 2 terms");
  const factors = await page.locator("main").textContent();
  assert.match(factors, /dz²₁₁\s*0/);
  assert.match(factors, /h¹₂₂\s*0/);
});

task("repair a wrong answer from its message", async (page, url) => {
  await page.goto(`${url}/#/homework?hw=hw-backprop&q=1.11`);
  await page.fill("#answer", "\\delta W^{3\\top} h^1");
  await page.click("text=Check");
  await seen(page, ".report.wrong", "Where does the gradient go when z is negative?");
  await page.fill("#answer", "(\\delta W^3 \\odot (z^2 \\geq 0))^\\top h^1");
  await page.click("text=Check");
  await page.locator(".report.right").waitFor();
});

task("find the learning rate that diverges", async (page, url) => {
  await page.goto(`${url}/#/training`);
  const outcomes = [];
  let before = "";
  for (const rate of ["0.1", "1", "10"]) {
    await page.fill("#lr", rate);
    await page.click("button:has-text('Train')");
    await page.waitForFunction(
      (old) => ![old, ""].includes(document.querySelector(".name-of-model")?.textContent),
      before,
    );
    await seen(page, ".status", /Finished|Diverged/);
    before = await page.locator(".name-of-model").textContent();
    outcomes.push((await page.locator(".status.diverged").count()) === 1);
  }
  assert.deepEqual(outcomes, [false, false, true]);
});

task("tell whether a pasted dW¹ is right", async (page, url) => {
  await page.goto(`${url}/#/network?example=first&dir=backward`);
  const cells = page.locator('[data-entry^="dW1["], [data-entry^="dW¹"]');
  await cells.first().waitFor();
  const values = await cells.evaluateAll((all) =>
    all.filter((cell) => cell.tagName === "TD").map((cell) => cell.dataset.value),
  );
  const rows = [0, 1, 2].map((row) => `[${values.slice(2 * row, 2 * row + 2).join(", ")}]`);
  await page.goto(`${url}/#/numbers?example=first`);
  await page.fill("#numbers", `array([${rows.join(",\n       ")}])`);
  await page.click("button:has-text('Compare')");
  await seen(page, "#results", "Right");
  const flipped = rows.join(",\n       ").replace(values[0], String(-Number(values[0])));
  await page.fill("#numbers", `array([${flipped}])`);
  await page.click("button:has-text('Compare')");
  await seen(page, "#results", /Wrong|Partly/);
  assert.equal(await page.locator("[data-tensor] td.wrong").count(), 1);
});
