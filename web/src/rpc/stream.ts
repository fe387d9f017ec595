// The one long stream of the page: browsers allow six connections to a host, and tabs share them. It is closed while the
// tab is hidden, and opened again when the tab is seen or the server is back.
import { Code, ConnectError } from "@connectrpc/connect";
import { computed, effect, signal, untracked } from "@preact/signals";
import { isGone, unreached } from "./connection.ts";
import { isAborted, type Problem, problemOf } from "./problem.ts";

/** What happens to a stream. */
export interface StreamEvents<T> {
  message(message: T): void;
  /** The server ended the stream: at its end, or with a problem. Not called when the page closed it. */
  end(problem: Problem | undefined): void;
}

/** So many times in a row a stream is opened again without a message. */
const MOST_FRUITLESS = 4;

/** After so many messages a stream is opened again: connect keeps a promise of each until its call ends, 7 MB in an hour. */
const MOST_MESSAGES = 5_000;

/** So long messages are passed on before the page draws: half a frame. */
const LONGEST_TURN_MS = 8;

const openStreams = signal(0);

/** Whether a stream is open now. */
export const isStreaming = computed(() => openStreams.value > 0);

const isHidden = signal(document.hidden);
document.addEventListener("visibilitychange", () => {
  isHidden.value = document.hidden;
});

let closeCurrent: (() => void) | undefined;

/**
 * Opens the page's stream, in place of the one before. `open` is called each time that the stream is opened, so it must be
 * safe to repeat. Returns what closes the stream.
 */
export function openStream<T>(open: (signal: AbortSignal) => AsyncIterable<T>, events: StreamEvents<T>): () => void {
  closeCurrent?.();
  let isOver = false;
  let fruitless = 0;
  let messages = 0;
  let pause: number | undefined;
  const repeats = signal(0);
  const heard: StreamEvents<T> = {
    message: (message) => {
      fruitless = 0;
      events.message(message);
      messages += 1;
      if (messages % MOST_MESSAGES === 0) repeats.value += 1;
    },
    end: (problem) => {
      // Where the server says that waiting helps, it is opened again; not for ever without a message.
      if (problem?.retryAfterMs === undefined || fruitless === MOST_FRUITLESS) {
        isOver = true;
        events.end(problem);
        return;
      }
      fruitless += 1;
      pause = window.setTimeout(() => {
        repeats.value += 1;
      }, problem.retryAfterMs);
    },
  };
  const dispose = effect(() => {
    void repeats.value;
    if (isOver || isHidden.value || isGone.value) return;
    const abort = new AbortController();
    // What opening reads must not open it again.
    untracked(() => void pump(open(abort.signal), heard, abort.signal));
    return () => abort.abort();
  });
  const close = () => {
    isOver = true;
    clearTimeout(pause);
    dispose();
    if (closeCurrent === close) closeCurrent = undefined;
  };
  closeCurrent = close;
  return close;
}

/** Passes the messages on, and the end unless the stream is only interrupted. */
async function pump<T>(stream: AsyncIterable<T>, events: StreamEvents<T>, signal: AbortSignal): Promise<void> {
  openStreams.value += 1;
  try {
    let since = performance.now();
    for await (const message of stream) {
      if (signal.aborted) return;
      events.message(message);
      // Messages that have arrived come without a pause, thousands of them after a slow moment: clicks and frames go first.
      if (performance.now() - since > LONGEST_TURN_MS) {
        await new Promise((resolve) => setTimeout(resolve));
        since = performance.now();
      }
    }
    if (!signal.aborted) events.end(undefined);
  } catch (error) {
    if (signal.aborted || isAborted(error) || isGone.value) return;
    const problem = problemOf(error);
    // A broken line is opened again when the server answers.
    if (isBroken(error, problem)) unreached();
    else events.end(problem);
  } finally {
    openStreams.value -= 1;
  }
}

/** Whether the line broke: every error of the server has a reason. */
function isBroken(error: unknown, problem: Problem): boolean {
  if (!(error instanceof ConnectError) || problem.reason) return false;
  return [Code.Unknown, Code.Internal, Code.Unavailable, Code.DataLoss].includes(error.code);
}
