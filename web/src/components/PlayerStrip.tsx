// The player: every quantity in the order in which it is computed, one step at a time or by itself. It is told where it
// stands, and makes no calls, so that a notebook can show it too.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Frame } from "../model/frames.ts";
import { say } from "./Live.tsx";

interface Props {
  readonly frames: readonly Frame[];
  /** Where the player stands; undefined while it is not used. */
  readonly frame: Frame | undefined;
  readonly onFrame: (frame: Frame | undefined) => void;
  readonly formulaOf: (frame: Frame) => ComponentChildren;
  /** Whether its keys work on the whole page, and not only within the strip. */
  readonly isPageWide: boolean;
}

/** Milliseconds of a frame: enough to read its sentence. */
const PACES = [
  ["slow", 4000],
  ["normal", 2000],
  ["fast", 800],
] as const;

type Pace = (typeof PACES)[number][0];

/** The strip of frames, what the current one computes, and what plays them. */
export function PlayerStrip({ frames, frame, onFrame, formulaOf, isPageWide }: Props) {
  const at = frame ? frames.indexOf(frame) : -1;
  const isLast = at === frames.length - 1;
  const [pace, setPace] = useState<Pace>("normal");
  const [isPlaying, setIsPlaying] = usePlaying(at, frames, pace, onFrame);
  const go = (next: Frame | undefined) => {
    setIsPlaying(false);
    onFrame(next);
  };
  const step = (by: 1 | -1) => {
    if (at < 0 && by < 0) return;
    if (!isLast || by < 0) go(frames[at + by]);
  };
  const toggle = () => {
    if (!isPlaying && (at < 0 || isLast)) onFrame(frames[0]);
    setIsPlaying(!isPlaying);
  };
  const strip = useKeys(isPageWide, { ArrowRight: () => step(1), ArrowLeft: () => step(-1), " ": toggle });
  useEffect(() => {
    if (frame) say(`${frame.plain}. ${frame.text}`);
  }, [frame]);
  return (
    <section class="player card" aria-label="Player" ref={strip}>
      <div class="player-bar">
        <button type="button" onClick={toggle} aria-label={isPlaying ? "Pause" : "Play"} title="Space">
          {isPlaying ? "❚❚" : "▶"}
        </button>
        <button type="button" onClick={() => step(-1)} disabled={!frame} aria-label="One step back" title="←">
          ←
        </button>
        <ol class="frames">
          {frames.map((known, index) => (
            <li key={known.id}>
              <button
                type="button"
                class={`frame ${known.phase} ${index < at ? "done" : ""}`}
                data-frame={known.id}
                aria-current={known === frame ? "step" : undefined}
                onClick={() => go(known === frame ? undefined : known)}
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
          disabled={isLast}
          aria-label="One step forward"
          title="→"
        >
          →
        </button>
      </div>
      <div class="frame-text" data-current={frame?.id}>
        {frame && formulaOf(frame)}
        <p class={frame ? "" : "quiet"}>
          {frame?.text ?? "Play the pass, or step through it with → and ←, from the inputs to the update."}
        </p>
        {frame && (
          <button type="button" class="plain" onClick={() => go(undefined)}>
            Show everything
          </button>
        )}
        <label class="pace">
          <span class="visually-hidden">Speed</span>
          <select value={pace} onChange={(event) => setPace(event.currentTarget.value as Pace)}>
            {PACES.map(([name]) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
    </section>
  );
}

/** Goes on by itself: to the end, until the tab is hidden, or until it is paused. */
function usePlaying(at: number, frames: readonly Frame[], pace: Pace, onFrame: (frame: Frame | undefined) => void) {
  const [isPlaying, setIsPlaying] = useState(false);
  useEffect(() => {
    if (!isPlaying) return;
    const next = frames[at + 1];
    if (!next) {
      setIsPlaying(false);
      return;
    }
    const timer = setTimeout(() => onFrame(next), Object.fromEntries(PACES)[pace]);
    return () => clearTimeout(timer);
  }, [isPlaying, at, frames, pace]);
  useEffect(() => {
    const pause = () => {
      if (document.hidden) setIsPlaying(false);
    };
    document.addEventListener("visibilitychange", pause);
    return () => document.removeEventListener("visibilitychange", pause);
  }, []);
  return [isPlaying, setIsPlaying] as const;
}

/** Keys of the player, unless they belong to what has the focus. Returns the element that they work in, if not the page. */
function useKeys(isPageWide: boolean, keys: Readonly<Record<string, () => void>>) {
  const element = useRef<HTMLElement>(null);
  // Of the last rendering: keys can come faster than effects.
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const target: EventTarget | null = isPageWide ? window : element.current;
    const onKey = (event: Event) => {
      if (!(event instanceof KeyboardEvent) || !isOurs(event)) return;
      const act = latest.current[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    target?.addEventListener("keydown", onKey);
    return () => target?.removeEventListener("keydown", onKey);
  }, [isPageWide]);
  return element;
}

function isOurs({ altKey, ctrlKey, metaKey, shiftKey, key, target }: KeyboardEvent): boolean {
  if (altKey || ctrlKey || metaKey || shiftKey || !(target instanceof HTMLElement)) return false;
  // The space bar chooses what has the focus.
  const others =
    key === " " ? "a, button, summary, input, textarea, select, [role=grid]" : "input, textarea, select, [role=grid]";
  return target.closest(others) === null;
}
