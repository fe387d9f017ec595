// A call whose result a component shows: made again when what it depends on changes, or when the server is back.
import { useEffect, useState } from "preact/hooks";
import { returns } from "../rpc/connection.ts";
import { isAborted, type Problem, problemOf } from "../rpc/problem.ts";

/** The last result, kept while the next one is on its way, and what went wrong. */
export interface CallState<T> {
  readonly value: T | undefined;
  readonly problem: Problem | undefined;
}

/** Makes `call`, and again when one of `dependencies` changes; the call before is ended then. */
export function useCall<T>(call: (signal: AbortSignal) => Promise<T>, dependencies: readonly unknown[]): CallState<T> {
  const [state, setState] = useState<CallState<T>>({ value: undefined, problem: undefined });
  useEffect(() => {
    const abort = new AbortController();
    call(abort.signal).then(
      (value) => {
        if (!abort.signal.aborted) setState({ value, problem: undefined });
      },
      (error: unknown) => {
        if (!abort.signal.aborted && !isAborted(error)) setState(({ value }) => ({ value, problem: problemOf(error) }));
      },
    );
    return () => abort.abort();
  }, [...dependencies, returns.value]);
  return state;
}
