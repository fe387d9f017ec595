// The start of the page.
import "./styles/tokens.css";
import "./styles/page.css";
import "./styles/parts.css";
import "./styles/matrix.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { takeTokenFromAddress } from "./rpc/token.ts";

takeTokenFromAddress();
const root = document.getElementById("page");
if (root) render(<App />, root);
