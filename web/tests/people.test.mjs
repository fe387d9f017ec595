// People: tokens, roles, and what a class gets wrong.
import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { assertAccessible, call, open, run, scratch, seen, serve, visit } from "./harness.mjs";

/** A server whose callers need a token, and what makes one. */
async function guarded(t) {
  const secrets = join(scratch(t), "secrets");
  run("token", "--new-secret", secrets);
  const server = await serve(t, "--auth-secret-file", secrets);
  const token = (role, sub = role) =>
    run("token", "--secret-file", secrets, "--role", role, "--sub", sub, "--expires", "1h").trim();
  return { server, token };
}

/** A refused call is an error in the console of a browser. */
const REFUSED = ["401", "403"];

test("a link with a token signs in, and the token is neither in the address nor kept beyond the tab", async (t) => {
  const { server, token } = await guarded(t);
  const browser = await open(t);
  const page = await visit(t, browser, `${server.url}/#/homework?q=1.1&token=${token("student", "ada")}`, {
    allow: REFUSED,
  });
  await seen(page, ".reader", "ada · student");
  assert.ok(!page.url().includes("token"), page.url());
  assert.match(page.url(), /q=1\.1/);
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }))).includes("eyJ"));
  await page.reload();
  await seen(page, ".reader", "ada · student");
  await seen(page, ".hand-in", "The receipt is for ada");
  await page.click("text=Sign out");
  await page.locator("#token").waitFor();
  await assertAccessible(page, "signed out");
});

test("without a token, or with a wrong one, the page asks for it and says what is wrong", async (t) => {
  const { server, token } = await guarded(t);
  const page = await visit(t, await open(t), `${server.url}/#/homework`, { allow: REFUSED });
  await seen(page, ".sign-in", "This server wants to know who you are");
  await page.fill("#token", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA");
  await page.click("button:has-text('Sign in')");
  await seen(page, ".sign-in", "does not accept this token");
  await page.fill("#token", token("student"));
  await page.press("#token", "Enter");
  await page.locator("#answer").waitFor();
  assert.equal(await page.locator(".sign-in").count(), 0);
});

test("a role is offered what it may do, and told what it may not", async (t) => {
  const { server, token } = await guarded(t);
  const browser = await open(t);
  const grader = await visit(t, browser, `${server.url}/#/training?token=${token("grader")}`, { allow: REFUSED });
  await seen(grader, ".problem", "Your role may not train");
  const student = await visit(t, browser, `${server.url}/#/class?token=${token("student")}`, { allow: REFUSED });
  await seen(student, ".problem", "Your role may not see what the class gets wrong");
  await student.goto(`${server.url}/#/homework`);
  await student.locator("#answer").waitFor();
  assert.equal(await student.locator("text=What the class gets wrong").count(), 0);
  const teacher = await visit(t, browser, `${server.url}/#/homework?token=${token("instructor")}`, { allow: REFUSED });
  await teacher.click("text=What the class gets wrong");
  await seen(teacher, "h1", "Class");
});

test("a teacher sees the mistakes of the class as they are made, and puts one question on the wall", async (t) => {
  const { server, token } = await guarded(t);
  const page = await visit(t, await open(t), `${server.url}/#/class?hw=hw-backprop&token=${token("instructor")}`, {
    allow: REFUSED,
    viewport: { width: 1920, height: 1080 },
  });
  await seen(page, ".bars", "None so far");
  const wrong = { 1.11: "\\delta W^{3\\top} h^1", 1.2: "\\delta" };
  for (const name of ["ada", "bob", "eve"]) {
    const request = { assignment: "hw-backprop", answers: wrong };
    await call(server.url, "GradingService/GradeFormulas", request, token("student", name));
  }
  // Two of three can be seen between two looks.
  await seen(page, ".bars tr", /missing mask\s*3/);
  assert.ok(!/\b(ada|bob|eve)\b/.test(await page.locator("main").textContent()), "no person is named");
  await assertAccessible(page, "the class");
  await page.click("[aria-label='1.11, on the wall']");
  await seen(page, ".wall h1", "1.11");
  await seen(page, ".tally .wrong", "3");
  const size = await page.evaluate(() =>
    Number.parseFloat(getComputedStyle(document.querySelector(".wall .prompt")).fontSize),
  );
  assert.ok(size >= 40, `${size} px are too small for the last row`);
  await assertAccessible(page, "the wall");
  await page.click("text=Next question");
  await seen(page, ".wall h1", "1.12");
});
