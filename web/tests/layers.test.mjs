// The layers of the source, read off its imports: a folder knows those before it, and the picture for notebooks knows neither
// calls nor the address.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { test } from "node:test";

const SOURCE = new URL("../src/", import.meta.url).pathname;

/** Each folder, after those that it may import besides itself. */
const LAYERS = ["gen", "model", "rpc", "state", "components", "views"];

const files = readdirSync(SOURCE, { recursive: true }).filter((file) => /\.tsx?$/.test(file));

/** The files of the page that a file imports. */
function imports(file) {
  const text = readFileSync(join(SOURCE, file), "utf8");
  const paths = [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+\.tsx?)"/g)].map((match) => match[1]);
  return paths.map((path) => relative(SOURCE, normalize(join(SOURCE, dirname(file), path))));
}

const layer = (file) => LAYERS.indexOf(file.split("/")[0]);

test("a folder imports only those before it", () => {
  const faults = files
    .filter((file) => layer(file) >= 0 && !file.startsWith("gen/"))
    .flatMap((file) => imports(file).map((path) => [file, path]))
    .filter(([file, path]) => layer(path) < 0 || layer(path) > layer(file));
  assert.deepEqual(faults, []);
  assert.ok(files.length > 50, "the source was not found");
});

test("the picture for notebooks reaches no call, no message and no address", () => {
  const reached = new Set(["widget/widget.tsx"]);
  for (const file of reached) for (const path of imports(file)) reached.add(path);
  const foreign = [...reached].filter((file) => /^(gen|rpc|state|views)\//.test(file));
  assert.deepEqual(foreign, []);
  assert.ok(reached.size > 10, "its imports were not followed");
});
