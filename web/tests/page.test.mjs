// What holds on every view: nobody is left out, nothing is cut, nothing is loaded from elsewhere.
import assert from "node:assert/strict";
import test from "node:test";
import { assertAccessible, assertNothingCut, open, serve, VIEWS, visit } from "./harness.mjs";

const LOOKS = [
  { colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { colorScheme: "dark", viewport: { width: 375, height: 740 } },
  { colorScheme: "dark", viewport: { width: 1920, height: 1080 } },
  { colorScheme: "light", viewport: { width: 375, height: 740 } },
];

test("every word of the menu is whole on a phone, whichever view is shown", async (t) => {
  const server = await serve(t);
  const browser = await open(t);
  for (const view of VIEWS) {
    const page = await visit(t, browser, `${server.url}/#/${view}`, { viewport: { width: 375, height: 740 } });
    await page.locator("main h1").first().waitFor();
    const cut = await page.locator(".top nav").evaluate((menu) => {
      const { right } = menu.getBoundingClientRect();
      return [...menu.children]
        .filter((link) => link.getBoundingClientRect().right > right + 0.5)
        .map((link) => link.textContent);
    });
    assert.deepEqual(cut, [], view);
    assert.ok((await page.locator(".top nav a").count()) >= 4);
    await page.close();
  }
});

for (const view of VIEWS) {
  test(`${view} is accessible and whole in both themes, on a phone and on a wall`, async (t) => {
    const server = await serve(t);
    const browser = await open(t);
    for (const look of LOOKS) {
      const what = `${view}, ${look.colorScheme}, ${look.viewport.width} px`;
      const page = await visit(t, browser, `${server.url}/#/${view}`, look);
      await page.locator("main h1").first().waitFor();
      await page.waitForLoadState("networkidle");
      await assertAccessible(page, what);
      await assertNothingCut(page, what);
      await page.close();
    }
  });
}
