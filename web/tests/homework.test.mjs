// The homework: read while it is typed, graded, and kept; what goes wrong is told.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { AWAY, assertAccessible, open, run, scratch, seen, serve, slowDown, visit } from "./harness.mjs";

const QUESTION = "/#/homework?hw=hw-backprop&q=1.11";
const WRONG = "\\delta W^{3\\top} h^1";
const RIGHT = "(\\delta W^3 \\odot (z^2 \\geq 0))^\\top h^1";

test("an answer is understood while it is typed, its mistake is named, and the repaired one is right", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), server.url + QUESTION);
  await page.fill("#answer", WRONG);
  await page.locator(".reading .katex").waitFor();
  assert.match(await page.locator(".reading math").textContent(), /δ/);
  assert.equal(await page.locator(".report").count(), 0, "nothing is judged before Check");
  await page.click("text=Check");
  await seen(page, ".report", "Wrong");
  assert.equal(await page.locator("[data-mistake]").getAttribute("data-mistake"), "MISSING_MASK");
  assert.equal(await page.locator(".entry-grid td.wrong").count(), 6);
  assert.match(await page.locator("[aria-live]").textContent(), /Wrong, 1 of 2 points/);
  assert.equal(await page.locator(".hints li").count(), 0, "hints are asked for");
  await page.click("text=A hint");
  assert.equal(await page.locator(".hints li").count(), 1);
  await assertAccessible(page, "a wrong answer");
  await page.fill("#answer", RIGHT);
  await seen(page, ".answer", "This was said of an earlier answer");
  await page.press("#answer", "Control+Enter");
  await page.locator(".report.right").waitFor();
  assert.match(await page.locator(".questions [aria-current]").textContent(), /1\.11.*2 \/ 2/s);
});

test("what cannot be read is underlined where it ends, in a text with letters of two bytes too", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), server.url + QUESTION);
  await page.fill("#answer", "δ \\frac{h^2");
  await page.locator(".reading mark").waitFor();
  assert.match(await page.locator(".reading").textContent(), /expected/);
  await page.fill("#answer", "δ W^9");
  await page.waitForFunction(() => document.querySelector(".reading mark")?.textContent.includes("W"));
  await page.click("text=Check");
  const report = await seen(page, ".report", "Cannot be read");
  assert.equal((await report.locator("mark").textContent()).trim(), "W^9");
});

test("the whole homework gets a score, and a receipt that the program verifies", async (t) => {
  const folder = scratch(t);
  const secret = join(folder, "secret");
  writeFileSync(secret, "a secret of thirty-two bytes or more\n", { mode: 0o600 });
  const server = await serve(t, "--grading-secret-file", secret);
  const page = await visit(t, await open(t), `${server.url}/#/homework?q=1.1`);
  await page.fill("#answer", "\\delta h^2_{1,1}");
  await page.click('.questions a:has-text("1.11")');
  await page.fill("#answer", WRONG);
  await page.fill("#student", "ada");
  await page.click("text=Grade all answers");
  await seen(page, ".score", "Score 3 of 50");
  const save = async (button, name) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
    const path = join(folder, name);
    await download.saveAs(path);
    return path;
  };
  const answers = await save("text=Save answers", "answers.json");
  const report = await save("text=Save report", "report.json");
  assert.deepEqual(JSON.parse(readFileSync(answers, "utf8")).answers, { 1.1: "\\delta h^2_{1,1}", 1.11: WRONG });
  assert.match(run("verify", report, answers, "--student", "ada", "--secret-file", secret), /genuine|valid/i);
  const forged = readFileSync(report, "utf8").replace('"score": 3', '"score": 50');
  writeFileSync(report, forged);
  assert.throws(() => run("verify", report, answers, "--secret-file", secret));
  await page.reload();
  assert.equal(await page.inputValue("#answer"), WRONG, "answers outlive a reload");
});

test("a server that goes and comes back is told, and the answer is read then", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), server.url + QUESTION, { allow: AWAY });
  await page.locator("#answer").waitFor();
  await server.stop();
  await page.fill("#answer", WRONG);
  await seen(page, "[role=alert]", "The server does not answer");
  assert.equal(await page.inputValue("#answer"), WRONG);
  await server.again();
  await page.locator(".reading .katex").waitFor();
  await page.waitForFunction(() => !document.querySelector(".gone"));
  await page.click("text=Check");
  await seen(page, ".report", "Wrong");
});

test("on a slow line the page says that it checks, and takes more letters meanwhile", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), server.url + QUESTION);
  await page.locator("#answer").waitFor();
  await slowDown(page);
  await page.fill("#answer", WRONG);
  await page.click("text=Check");
  await seen(page, ".answer", "Checking …");
  await page.locator("#answer").pressSequentially(" + 0");
  assert.equal(await page.inputValue("#answer"), `${WRONG} + 0`);
  await seen(page, ".report", "Wrong");
});

test("the homework can be done with the keyboard alone", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), `${server.url}/#/homework`);
  await page.locator("#answer").waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.id);
  const tabTo = async (wanted) => {
    for (let presses = 0; presses < 80; presses++) {
      await page.keyboard.press("Tab");
      if (wanted.test((await focused()) ?? "")) return;
    }
    assert.fail(`Tab never reaches ${wanted}`);
  };
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "MAIN");
  await tabTo(/1\.11/);
  await page.keyboard.press("Enter");
  await seen(page, "#question", "1.11");
  await page.evaluate(() => document.getElementById("main")?.focus());
  await tabTo(/^answer$/);
  await page.keyboard.type(WRONG);
  await tabTo(/^Check$/);
  await page.keyboard.press("Enter");
  await seen(page, ".report", "Wrong");
  await tabTo(/^A hint/);
  await page.keyboard.press("Enter");
  assert.equal(await page.locator(".hints li").count(), 1);
});

test("a screen reader is told what the homework shows", async (t) => {
  const server = await serve(t);
  const page = await visit(t, await open(t), server.url + QUESTION);
  await page.fill("#answer", WRONG);
  await page.click("text=Check");
  await seen(page, ".report", "Wrong");
  await page.locator(".reading .katex").waitFor();
  const tree = await page.locator("main").ariaSnapshot();
  for (const part of [
    /heading "Backpropagation by hand" \[level=1\]/,
    /heading "Question 1\.11 2 points" \[level=2\]/,
    /textbox "Your answer, in LaTeX or as code"/,
    /button "Check"/,
    /Understood:/,
    /table "Right entries: 0 of 6"/,
    /cell "wrong"/,
    /navigation "Questions"/,
    /link "Wrong 1\.11 1 \/ 2 points"/,
    /link "Not graded 1\.1 2 points"/,
    /button "Grade all answers"/,
  ]) {
    assert.match(tree, part);
  }
});
