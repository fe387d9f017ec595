// A question to the kernel whose answer a component shows: asked again when what it depends on changes.
import { useEffect, useState } from "preact/hooks";

/** The answer, once it is there, or why there is none. */
export interface AnswerState<T> {
  readonly value?: T;
  readonly problem?: string;
}

/** Asks, and again when one of `dependencies` changes; the answer to the question before is passed over then. */
export function useAnswer<T>(question: () => Promise<T> | undefined, dependencies: readonly unknown[]): AnswerState<T> {
  const [state, setState] = useState<AnswerState<T>>({});
  useEffect(() => {
    let isCurrent = true;
    setState({});
    question()?.then(
      (value) => isCurrent && setState({ value }),
      (error: Error) => isCurrent && setState({ problem: error.message }),
    );
    return () => {
      isCurrent = false;
    };
  }, dependencies);
  return state;
}
