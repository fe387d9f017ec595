// What a screen reader hears: one polite region for the whole page.
import { signal } from "@preact/signals";

const heard = signal("");

/** Says a sentence to screen readers; the same sentence twice is said twice. */
export function say(sentence: string): void {
  heard.value = sentence === heard.peek() ? `${sentence}\u00a0` : sentence;
}

/** The region; once in the page. */
export function LiveRegion() {
  return (
    <div class="visually-hidden" role="status" aria-live="polite">
      {heard}
    </div>
  );
}
