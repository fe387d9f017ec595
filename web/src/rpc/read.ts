// Calls that change nothing, sent again where the server says that waiting helps.
import type { CallOptions } from "@connectrpc/connect";
import { isGone } from "./connection.ts";
import { isAborted, problemOf } from "./problem.ts";

const TIMEOUT_MS = 30_000;
const TRIES = 4;

/**
 * Makes a call that may be repeated: a read, or a write with a request id. While the server is gone it fails at once; what
 * shows the result reads again when `returns` changes.
 */
export function read<T>(call: (options: CallOptions) => Promise<T>, signal?: AbortSignal): Promise<T> {
  return repeated(() => call({ timeoutMs: TIMEOUT_MS, ...(signal && { signal }) }), signal);
}

/** Does `work`, and again where the server says that waiting helps; a stream is `work` that reads it. */
export async function repeated<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const wait = problemOf(error).retryAfterMs;
      if (isAborted(error) || isGone.value || wait === undefined || tries === TRIES) throw error;
      await sleep(wait, signal);
    }
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}
