// The picture of a network in a real JupyterLab, by hand: shown, turned backward, played, changed, and trained on in the kernel.
//   python3 -m venv VENV && VENV/bin/pip install jupyterlab anywidget numpy grpcio protobuf
//   JUPYTER=VENV/bin/jupyter BACKPROPD_BIN=PROGRAM node tests/jupyterlab.mjs
// The package is that of this checkout. PICTURE names a PNG to write. Exits with 1 if something does not work.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { launch, PROGRAM } from "./harness.mjs";

const CELLS = [
  `import backpropd as bp, numpy as np
lab = bp.local()
net = lab.model([4, bp.Layer(3, "tanh"), 2, 1], seed=1)
x, y = np.array([[1, 2, 3, 4], [-1, 0, 1, 2.0]]), np.array([[1], [-1.0]])
picture = net.show(x, y)
picture`,
  `net.fit(x, y, steps=1)
picture.refresh()
W = net.W
W[2][0, 1] = 5
copy = lab.model([4, bp.Layer(3, "tanh"), 2, 1], parameters=[W[layer] for layer in (1, 2, 3)])
print("loss", copy.gradients(x, y).loss.hex(), "own", net.W[2][0, 1] != 5)`,
];

const notebook = {
  cells: CELLS.map((source, at) => ({
    id: `cell-${at}`,
    cell_type: "code",
    source,
    metadata: {},
    outputs: [],
    execution_count: null,
  })),
  metadata: { kernelspec: { name: "python3", display_name: "Python 3", language: "python" } },
  nbformat: 4,
  nbformat_minor: 5,
};

/** Starts JupyterLab in a folder; returns its address with its token. */
async function startJupyter(folder) {
  const child = spawn(
    process.env.JUPYTER ?? "jupyter",
    ["lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", `--ServerApp.root_dir=${folder}`],
    {
      env: {
        ...process.env,
        BACKPROPD_BIN: PROGRAM,
        PYTHONPATH: new URL("../../python", import.meta.url).pathname,
        JUPYTER_CONFIG_DIR: folder,
      },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  for await (const line of createInterface({ input: child.stderr })) {
    const url = /(http:\/\/127\.0\.0\.1:\d+)\/lab\?token=(\w+)/.exec(line);
    if (!url) continue;
    child.stderr.resume();
    return { child, url: url[1], token: url[2] };
  }
  throw new Error("JupyterLab ended before it listened");
}

const folder = mkdtempSync(join(tmpdir(), "backpropd-lab-"));
writeFileSync(join(folder, "network.ipynb"), JSON.stringify(notebook));
const jupyter = await startJupyter(folder);
const browser = await launch();
const began = performance.now();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1200 } });
  page.setDefaultTimeout(60_000);
  await page.goto(`${jupyter.url}/lab/tree/network.ipynb?token=${jupyter.token}`);
  const cells = page.locator(".jp-Notebook .jp-CodeCell");
  await cells.first().locator(".cm-content").click();
  await page.keyboard.press("Shift+Enter");
  const picture = page.locator(".backpropd .notebook-picture").first();
  await picture.locator(".diagram.forward").waitFor();
  const loss = async () => picture.locator(".loss .number").getAttribute("data-value");
  const first = await loss();
  console.log("shown: ok");

  await picture.getByRole("button", { name: "← Backward" }).click();
  await picture.locator(".diagram.backward").waitFor();
  await picture.locator('.edge[data-entry="dW2.1.2"] .stroke').dispatchEvent("click");
  await picture.locator(".equation", { hasText: "dW²₁₂" }).first().waitFor();
  console.log("turned backward, and explained by the kernel: ok");

  const nudge = picture.locator(".nudge .number");
  await nudge.nth(3).waitFor();
  const [up, down, quotient, derivative] = await nudge.evaluateAll((found) =>
    found.map((each) => Number(each.dataset.value)),
  );
  assert.equal((up - down) / (2 * 1e-3), quotient);
  assert.ok(Math.abs(quotient - derivative) < 1e-4 * Math.abs(derivative), `${quotient} beside ${derivative}`);
  console.log("nudged, beside the derivative: ok");

  await picture.getByLabel("Speed").selectOption("fast");
  await picture.getByRole("button", { name: "Play" }).click();
  await picture.locator('[data-frame="h1"][aria-current]').waitFor();
  await page.keyboard.press("ArrowRight");
  await picture.getByRole("button", { name: "Play" }).waitFor();
  await picture.getByRole("button", { name: "Show everything" }).click();
  console.log("played, and stepped by the arrow keys: ok");

  await picture.locator(".value-field input").fill("5");
  await picture.locator(".value-field input").press("Enter");
  await picture.locator(".changes").waitFor();
  await page.waitForFunction(
    (before) => document.querySelector(".backpropd .loss .number")?.dataset.value !== before,
    first,
  );
  console.log("a weight changed: ok");

  await cells.nth(1).locator(".cm-content").click();
  await page.keyboard.press("Shift+Enter");
  const printed = cells.nth(1).locator(".jp-OutputArea-output", { hasText: "loss" });
  await printed.waitFor();
  await picture.locator(".loss", { hasText: "step 1" }).waitFor();
  const [, wanted, own] = /loss (\S+) own (\w+)/.exec(await printed.textContent());
  assert.equal(Number(await loss()), readHex(wanted), "the picture has the bits of a network with the changed weight");
  assert.equal(own, "True", "the network itself is as it was");
  console.log("a step in the kernel, and the numbers follow, with the change on top: ok");

  if (process.env.PICTURE) await picture.screenshot({ path: process.env.PICTURE });
  await picture.getByRole("button", { name: "Take back" }).click();
  await picture.locator(".changes").waitFor({ state: "detached" });
  console.log(`taken back: ok, ${((performance.now() - began) / 1000).toFixed(0)} s in all`);
} finally {
  await browser.close();
  jupyter.child.kill();
  await new Promise((resolve) => jupyter.child.once("exit", resolve));
  rmSync(folder, { recursive: true, force: true });
}

/** A float as Python's hex() writes it. */
function readHex(text) {
  const [, sign, whole, fraction, exponent] = /^(-?)0x(\d)\.([0-9a-f]*)p([+-]\d+)$/.exec(text);
  const value = (Number(whole) + Number.parseInt(fraction, 16) / 16 ** fraction.length) * 2 ** Number(exponent);
  return sign ? -value : value;
}
