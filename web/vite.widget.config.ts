// The build of the picture for notebooks: one script and one style in the Python package, without KaTeX and without calls.
import { defineConfig, type Plugin } from "vite";

/** The page's style is for a page of its own; in a notebook it is kept within the widget's element. */
const scoped: Plugin = {
  name: "scoped",
  enforce: "post",
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type !== "asset" || !file.fileName.endsWith(".css")) continue;
      file.source = `.backpropd{${String(file.source).trim().replaceAll(":root", "&")}}\n`;
    }
  },
};

export default defineConfig({
  plugins: [scoped],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    outDir: "../python/backpropd/_widget",
    emptyOutDir: true,
    reportCompressedSize: false,
    copyPublicDir: false,
    lib: { entry: "src/widget/widget.tsx", formats: ["es"], fileName: "widget", cssFileName: "widget" },
  },
});
