// The frame of every view: the name, the menu, whether the server answers, and the view itself.
import { useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentType } from "preact";
import { LiveRegion } from "./components/Live.tsx";
import { ProblemBox } from "./components/ProblemBox.tsx";
import { Reader, SignIn } from "./components/SignIn.tsx";
import { ThemeButton } from "./components/ThemeButton.tsx";
import { isGone } from "./rpc/connection.ts";
import { inputProblem } from "./rpc/problem.ts";
import { linkTo, place } from "./state/address.ts";
import { VIEWS, viewNamed } from "./views/index.ts";

/** The page. */
export function App() {
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      <header class="top">
        <a class="name" href="#/">
          backpropd
        </a>
        <Menu />
        <Reader />
        <ThemeButton />
      </header>
      {isGone.value && (
        <p class="gone" role="alert">
          The server does not answer. The page waits, and continues when it is back.
        </p>
      )}
      <main id="main" tabIndex={-1}>
        <SignIn />
        <CurrentView />
      </main>
      <LiveRegion />
    </>
  );
}

function Menu() {
  const current = viewNamed(place.value.view);
  return (
    <nav aria-label="Views">
      {VIEWS.filter((view) => view.isListed || view === current).map((view) => (
        <a key={view.name} href={linkTo(view.name)} aria-current={view === current ? "page" : undefined}>
          {view.title}
        </a>
      ))}
    </nav>
  );
}

type Loaded = { readonly name: string; readonly Shown: ComponentType };

function CurrentView() {
  const loaded = useSignal<Loaded | "failed" | undefined>(undefined);
  useSignalEffect(() => {
    const view = viewNamed(place.value.view);
    const before = loaded.peek();
    if (!view || (before && before !== "failed" && before.name === view.name)) return;
    let isCurrent = true;
    view.load().then(
      (module) => {
        if (isCurrent) loaded.value = { name: view.name, Shown: module.default };
      },
      () => {
        if (isCurrent) loaded.value = "failed";
      },
    );
    return () => {
      isCurrent = false;
    };
  });
  const view = loaded.value;
  if (view === "failed") {
    const problem = inputProblem(
      "This part of the page could not be loaded.",
      "Is the server there? Load the page again.",
    );
    return <ProblemBox problem={problem} onRetry={() => location.reload()} />;
  }
  return view ? <view.Shown /> : null;
}

/** Moves the focus without a change of the address, which is the state of the page. */
function skip(): void {
  document.getElementById("main")?.focus();
}
