// The build: every file under its content's hash, nothing inlined (the policy of the server allows no inline script, style
// or font), and of KaTeX's fonts the one format that all browsers read.
import { defineConfig, type Plugin } from "vite";

/** KaTeX lists each face as woff2, woff and ttf; every browser that runs this page reads woff2. */
const woff2Only: Plugin = {
  name: "woff2-only",
  enforce: "pre",
  transform(code, id) {
    if (!/katex(\.min)?\.css/.test(id)) return null;
    return code.replace(/,\s*url\([^)]*\.(woff|ttf)\)\s*format\(["']?(woff|truetype)["']?\)/g, "");
  },
};

const server = process.env.BACKPROPD ?? "http://127.0.0.1:50051";

export default defineConfig({
  plugins: [woff2Only],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // The server refuses other origins than its own.
    proxy: {
      "^/(backprop\\.v1\\.|api$|style\\.css$)": {
        target: server,
        changeOrigin: true,
        headers: { origin: server },
      },
    },
  },
});
