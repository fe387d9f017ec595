// The player: every quantity in the order in which it is computed, one step at a time, by ← and →.
import { useEffect } from "preact/hooks";
import { Formula } from "../../components/Formula.tsx";
import { say } from "../../components/Live.tsx";
import { frame, frames, setFrame, step } from "../../state/gaze.ts";

/** The strip of frames, and what the current one computes. */
export function Player() {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || isTyping(event.target)) return;
      if (event.key === "ArrowRight") step(1);
      else if (event.key === "ArrowLeft") step(-1);
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const now = frame.value;
  const all = frames.value;
  useEffect(() => {
    if (now) say(`${now.plain}. ${now.text}`);
  }, [now]);
  const at = now ? all.indexOf(now) : -1;
  return (
    <section class="player card" aria-label="Player">
      <div class="player-bar">
        <button type="button" onClick={() => step(-1)} disabled={!now} aria-label="One step back" title="←">
          ←
        </button>
        <ol class="frames">
          {all.map((known, index) => (
            <li key={known.id}>
              <button
                type="button"
                class={`frame ${known.phase} ${index < at ? "done" : ""}`}
                data-frame={known.id}
                aria-current={known === now ? "step" : undefined}
                onClick={() => setFrame(known === now ? undefined : known)}
              >
                {known.label}
              </button>
            </li>
          ))}
        </ol>
        <button
          type="button"
          class="primary"
          onClick={() => step(1)}
          disabled={at === all.length - 1}
          aria-label="One step forward"
          title="→"
        >
          →
        </button>
      </div>
      {now ? (
        <div class="frame-text" data-current={now.id}>
          <Formula latex={now.latex} plain={now.plain} />
          <p>{now.text}</p>
          <button type="button" class="plain" onClick={() => setFrame(undefined)}>
            Show everything
          </button>
        </div>
      ) : (
        <p class="quiet">Step through the pass with → and ←, from the inputs to the update.</p>
      )}
    </section>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [role=grid]") !== null;
}
