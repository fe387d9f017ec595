// Why a number has its value, as the kernel says.
import { useEffect, useState } from "preact/hooks";
import { Terms } from "../components/Terms.tsx";
import { type Entry, matrixAt, type Numbers, nameOf, valueAt, writeEntry } from "../model/entry.ts";
import type { Expansion, Explanation } from "../model/explanation.ts";
import { exact } from "../model/matrix.ts";
import { ask, type KernelModel } from "./kernel.ts";

interface Props {
  readonly model: KernelModel;
  readonly entry: Entry;
  readonly numbers: Numbers;
  readonly onLight: (entry: Entry | undefined) => void;
  readonly onPick: (entry: Entry) => void;
}

const LEVELS: readonly (readonly [Expansion, string])[] = [
  ["definition", "Definition"],
  ["chain", "Chain rule"],
  ["leaves", "Leaves"],
];

/** What the kernel says about an entry; what is given, such as a weight, has only its value. */
export function KernelWhy({ model, entry, numbers, onLight, onPick }: Props) {
  const [level, setLevel] = useState<Expansion>("definition");
  const [answer, setAnswer] = useState<Explanation | string | undefined>(undefined);
  const isGiven = ["W", "b", "x", "y", "loss"].includes(entry.quantity);
  useEffect(() => {
    let isCurrent = true;
    setAnswer(undefined);
    if (isGiven) return;
    ask(model, entry, level).then(
      (explanation) => isCurrent && setAnswer(explanation),
      (error: Error) => isCurrent && setAnswer(error.message),
    );
    return () => {
      isCurrent = false;
    };
  }, [model, writeEntry(entry), level, numbers]);
  const value = valueAt(numbers, entry);
  const name = nameOf(entry, matrixAt(numbers, entry));
  if (isGiven)
    return (
      <p aria-live="polite">
        {name} = {value === undefined ? "" : exact(value)}
      </p>
    );
  return (
    <section aria-label={`Why ${name} has its value`} aria-live="polite">
      <fieldset class="segments">
        <legend class="visually-hidden">How far to go</legend>
        {LEVELS.map(([each, title]) => (
          <button key={each} type="button" aria-pressed={each === level} onClick={() => setLevel(each)}>
            {title}
          </button>
        ))}
      </fieldset>
      {typeof answer === "string" && <p role="alert">{answer}</p>}
      {typeof answer === "object" &&
        answer.equations.map((equation, index) => (
          <div key={equation.text}>
            <p class="equation">
              {equation.text}
              <br />= {equation.numbers}
            </p>
            {index === 0 && <Terms equation={equation} onLight={onLight} onPick={onPick} />}
          </div>
        ))}
    </section>
  );
}
