// The start of the page.
import "./styles/tokens.css";
import "./styles/page.css";
import "./styles/parts.css";
import "./styles/matrix.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { place } from "./state/address.ts";
import { viewNamed } from "./views/index.ts";

// The view is fetched while the frame is drawn.
viewNamed(place.value.view)
  ?.load()
  .catch(() => undefined);
const root = document.getElementById("page");
if (root) render(<App />, root);
