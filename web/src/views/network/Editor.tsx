// Another value for a weight, a bias, an input or a target; and the derivative beside what a nudge of the value does.
import { useState } from "preact/hooks";
import { FIRST_STEP, NudgeTable } from "../../components/NudgeTable.tsx";
import { ProblemBox } from "../../components/ProblemBox.tsx";
import { useCall } from "../../components/useCall.ts";
import { ValueField } from "../../components/ValueField.tsx";
import { withValue } from "../../model/edit.ts";
import { type Entry, gradientOf, matrixAt, type Numbers, nameOf, valueAt, writeEntry } from "../../model/entry.ts";
import { computeLoss } from "../../rpc/pass.ts";
import { pick } from "../../state/gaze.ts";
import { type Subject, show } from "../../state/network.ts";

interface Props {
  /** An entry of W, b, x or y. */
  readonly entry: Entry;
  readonly subject: Subject;
  readonly numbers: Numbers;
}

/** A box with the value, and the nudge. */
export function Editor({ entry, subject, numbers }: Props) {
  const value = valueAt(numbers, entry);
  const name = nameOf(entry, matrixAt(numbers, entry));
  if (value === undefined) return null;
  const gradient = gradientOf(entry);
  const isFixed = entry.quantity === "y" && "labels" in subject.batch.answers;
  return (
    <section class="editor" aria-label={`Change ${name}`}>
      {!isFixed && <ValueField name={name} value={value} onChange={(next) => show(withValue(subject, entry, next))} />}
      {gradient && (
        <Nudge entry={entry} subject={subject} numbers={numbers} name={name} value={value} gradient={gradient} />
      )}
    </section>
  );
}

interface NudgeProps extends Props {
  readonly name: string;
  readonly value: number;
  readonly gradient: Entry;
}

function Nudge({ entry, subject, numbers, name, value, gradient }: NudgeProps) {
  const [h, setH] = useState<number>(FIRST_STEP);
  const { value: losses, problem } = useCall(
    (signal) =>
      Promise.all(
        [value + h, value - h].map((moved) => {
          const { network, batch } = withValue(subject, entry, moved);
          return computeLoss(network, batch, signal);
        }),
      ),
    [subject, writeEntry(entry), value, h],
  );
  return (
    <>
      {problem && <ProblemBox problem={problem} />}
      <NudgeTable
        name={name}
        h={h}
        onH={setH}
        losses={losses}
        derivative={valueAt(numbers, gradient)}
        derivativeName={nameOf(gradient, matrixAt(numbers, gradient))}
        onDerivative={() => pick(gradient)}
      />
    </>
  );
}
