// Another value for a weight, a bias, an input or a target; and the derivative beside what a nudge of the value does.
import { useState } from "preact/hooks";
import { NumberText } from "../../components/NumberText.tsx";
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
  const isFixed = entry.quantity === "y" && "labels" in subject.batch.answers;
  return (
    <section class="editor" aria-label={`Change ${name}`}>
      {!isFixed && <ValueField name={name} value={value} onChange={(next) => show(withValue(subject, entry, next))} />}
      {gradientOf(entry) && <Nudge entry={entry} subject={subject} numbers={numbers} name={name} value={value} />}
    </section>
  );
}

const STEPS = [0.1, 0.01, 1e-3, 1e-4, 1e-5] as const;

interface NudgeProps extends Props {
  readonly name: string;
  readonly value: number;
}

/** (l(w+h) − l(w−h)) / 2h beside the derivative. Both losses are the server's; the quotient is the page's. */
function Nudge({ entry, subject, numbers, name, value }: NudgeProps) {
  const [h, setH] = useState<number>(1e-3);
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
  const gradient = gradientOf(entry);
  const derivative = gradient && valueAt(numbers, gradient);
  const gradientName = gradient ? nameOf(gradient, matrixAt(numbers, gradient)) : "";
  const [up, down] = losses ?? [];
  const quotient = up === undefined || down === undefined ? undefined : (up - down) / (2 * h);
  return (
    <div class="nudge">
      <label>
        Nudge {name} by h ={" "}
        <select value={String(h)} onChange={(event) => setH(Number(event.currentTarget.value))}>
          {STEPS.map((step) => (
            <option key={step} value={String(step)}>
              {step}
            </option>
          ))}
        </select>
      </label>
      {problem && <ProblemBox problem={problem} />}
      <table class="plain-table">
        <tbody>
          <NudgeRow title={`l(${name} + h)`} value={up} digits={8} />
          <NudgeRow title={`l(${name} − h)`} value={down} digits={8} />
          <NudgeRow title="their difference / 2h" value={quotient} digits={6} />
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">
              {gradient && (
                <button type="button" class="link" onClick={() => pick(gradient)}>
                  {gradientName}
                </button>
              )}
            </th>
            <td>{derivative === undefined ? "not yet" : <NumberText value={derivative} digits={6} />}</td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

function NudgeRow({
  title,
  value,
  digits,
}: {
  readonly title: string;
  readonly value: number | undefined;
  readonly digits: number;
}) {
  return (
    <tr>
      <th scope="row">{title}</th>
      <td>{value === undefined ? "…" : <NumberText value={value} digits={digits} />}</td>
    </tr>
  );
}
