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
  const dispose = effect(() => {
    if (isOver || isHidden.value || isGone.value) return;
    const abort = new AbortController();
    // What opening reads must not open it again.
    const pumped = untracked(() => pump(open(abort.signal), events, abort.signal));
    void pumped.then((ended) => {
      if (ended) isOver = true;
    });
    return () => abort.abort();
  });
  const close = () => {
    isOver = true;
    dispose();
    if (closeCurrent === close) closeCurrent = undefined;
  };
  closeCurrent = close;
  return close;
}

/** Passes the messages on; returns whether the stream is over, and not only interrupted. */
async function pump<T>(stream: AsyncIterable<T>, events: StreamEvents<T>, signal: AbortSignal): Promise<boolean> {
  openStreams.value += 1;
  try {
    for await (const message of stream) {
      if (signal.aborted) return false;
      events.message(message);
    }
    if (signal.aborted) return false;
    events.end(undefined);
    return true;
  } catch (error) {
    if (signal.aborted || isAborted(error) || isGone.value) return false;
    const problem = problemOf(error);
    if (isBroken(error, problem)) {
      // Opened again when the server answers.
      unreached();
      return false;
    }
    events.end(problem);
    return true;
  } finally {
    openStreams.value -= 1;
  }
}

/** Whether the line broke: every error of the server has a reason. */
function isBroken(error: unknown, problem: Problem): boolean {
  if (!(error instanceof ConnectError) || problem.reason) return false;
  return [Code.Unknown, Code.Internal, Code.Unavailable, Code.DataLoss].includes(error.code);
}
