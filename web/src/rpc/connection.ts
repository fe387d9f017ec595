// Whether the server answers: set by every call, and by a quiet knock while it does not.
import { signal } from "@preact/signals";

/** Whether the last call reached the server. */
export const isGone = signal(false);

/** How many times the server came back: what failed while it was gone is read again when this changes. */
export const returns = signal(0);

const KNOCK_MS = [500, 1000, 2000, 4000];
let knocks: number | undefined;

/** A call reached the server. */
export function reached(): void {
  if (!isGone.value) return;
  clearTimeout(knocks);
  knocks = undefined;
  isGone.value = false;
  returns.value += 1;
}

/** A call did not reach the server: knock until it answers. */
export function unreached(): void {
  isGone.value = true;
  if (knocks === undefined) knock(0);
}

function knock(count: number): void {
  const wait = KNOCK_MS[Math.min(count, KNOCK_MS.length - 1)];
  knocks = window.setTimeout(async () => {
    try {
      // Any answer will do; the icon is the smallest.
      await fetch("/favicon.ico", { method: "HEAD", cache: "no-store" });
      reached();
    } catch {
      knock(count + 1);
    }
  }, wait);
}
