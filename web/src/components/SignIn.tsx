// Who the reader is, and a box for the token where the server wants one.
import "../styles/sign-in.css";
import { useSignal } from "@preact/signals";
import { setToken, token } from "../rpc/token.ts";
import { caller } from "../state/caller.ts";
import { say } from "./Live.tsx";
import { ProblemBox } from "./ProblemBox.tsx";

/** The reader's name and role, with a way out; for the top of the page. */
export function Reader() {
  const who = caller.value;
  if (who.kind !== "person") return null;
  const leave = () => {
    setToken(undefined);
    say("You are signed out.");
  };
  return (
    <span class="reader">
      <span class="quiet">
        {who.subject} · {who.role}
      </span>
      {token.value && (
        <button type="button" onClick={leave}>
          Sign out
        </button>
      )}
    </span>
  );
}

/** A form for the token, where the server wants one. */
export function SignIn() {
  const text = useSignal("");
  const who = caller.value;
  if (who.kind !== "stranger") return null;
  const enter = (event: Event) => {
    event.preventDefault();
    const given = text.value.trim();
    if (given) setToken(given.replace(/^Bearer\s+/i, ""));
    text.value = "";
  };
  return (
    <section class="sign-in card" aria-labelledby="sign-in">
      <h2 id="sign-in">Sign in</h2>
      <ProblemBox problem={{ ...who.problem, detail: token.value ? who.problem.detail : "" }} />
      <form class="row" onSubmit={enter}>
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
      <p class="quiet">This tab keeps the token until it is closed. It goes to this server alone.</p>
    </section>
  );
}
