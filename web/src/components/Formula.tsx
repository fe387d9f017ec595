// A formula, set by KaTeX, which is loaded with the first one; until then, and where it cannot be set, its plain text.
import { signal } from "@preact/signals";
import type KaTeX from "katex";
import { useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  /** The formula in LaTeX. */
  readonly latex: string;
  /** The same in plain text, shown until it is set. */
  readonly plain: string;
  /** On a line of its own. */
  readonly display?: boolean;
}

const katex = signal<typeof KaTeX | undefined>(undefined);
let isLoading = false;

/** Loads KaTeX when the page has nothing else to do: numbers come first. */
function load(): void {
  if (isLoading) return;
  isLoading = true;
  whenIdle(() => {
    Promise.all([import("katex"), import("katex/dist/katex.min.css")]).then(
      ([module]) => {
        katex.value = module.default;
      },
      // Plain text stays; the next formula tries again.
      () => {
        isLoading = false;
      },
    );
  });
}

function whenIdle(work: () => void): void {
  if ("requestIdleCallback" in window) window.requestIdleCallback(work, { timeout: 1500 });
  else setTimeout(work, 200);
}

/** A formula; a screen reader gets its MathML. */
export function Formula({ latex, plain, display = false }: Props) {
  const element = useRef<HTMLSpanElement>(null);
  const setter = katex.value;
  load();
  useLayoutEffect(() => {
    if (!setter || !element.current) return;
    try {
      setter.render(latex, element.current, { displayMode: display, throwOnError: true, strict: "ignore" });
    } catch {
      element.current.textContent = plain;
    }
  }, [setter, latex, plain, display]);
  return (
    // A long formula is scrolled, by the keyboard too.
    <span ref={element} class={display ? "formula display" : "formula"} tabIndex={display ? 0 : undefined}>
      {setter ? null : plain}
    </span>
  );
}
