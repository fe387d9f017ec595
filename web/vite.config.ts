// The build: every file under its content's hash, nothing inlined (the policy of the server allows no inline script, style
// or font), and of KaTeX's fonts the faces that formulas need.
import { defineConfig, type Plugin } from "vite";

/** Faces for letters that no formula here has; such a letter is shown in the face of the page. */
const UNUSED =
  /@font-face\{[^}]*KaTeX_(Fraktur|SansSerif|Script|Typewriter|Caligraphic|Math-BoldItalic|Main-BoldItalic|Main-Italic)[^}]*\}/g;

/** KaTeX lists each face as woff2, woff and ttf; every browser that runs this page reads woff2. */
const OLD_FORMATS = /,\s*url\([^)]*\.(woff|ttf)\)\s*format\(["']?(woff|truetype)["']?\)/g;

const neededFonts: Plugin = {
  name: "needed-fonts",
  enforce: "pre",
  transform(code, id) {
    if (!/katex(\.min)?\.css/.test(id)) return null;
    // Until a face is there, letters are shown in another one, and not left out.
    return code.replace(UNUSED, "").replace(OLD_FORMATS, "").replaceAll("font-display:block", "font-display:swap");
  },
};

const server = process.env.BACKPROPD ?? "http://127.0.0.1:50051";

export default defineConfig({
  plugins: [neededFonts],
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
