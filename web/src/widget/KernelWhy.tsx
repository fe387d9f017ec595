// Why a number has its value, as the kernel says.
import { useState } from "preact/hooks";
import { Terms } from "../components/Terms.tsx";
import { type Entry, matrixAt, type Numbers, nameOf, valueAt, writeEntry } from "../model/entry.ts";
import type { Expansion } from "../model/explanation.ts";
import { exact } from "../model/matrix.ts";
import { ask, type KernelModel } from "./kernel.ts";
import { useAnswer } from "./useAnswer.ts";

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
  const isGiven = ["W", "b", "x", "y", "loss"].includes(entry.quantity);
  const { value: answer, problem } = useAnswer(
    () => (isGiven ? undefined : ask(model, entry, level)),
    [model, writeEntry(entry), level, numbers],
  );
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
      {problem && <p role="alert">{problem}</p>}
      {answer?.equations.map((equation, index) => (
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
