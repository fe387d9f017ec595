// The chosen entry: its value, how it is formed, and, for what can be changed, another value.
import { useEffect } from "preact/hooks";
import { say } from "../../components/Live.tsx";
import { NumberText } from "../../components/NumberText.tsx";
import { type Entry, editableOf, matrixAt, type Numbers, nameOf, valueAt } from "../../model/entry.ts";
import { shortNumber } from "../../model/number.ts";
import { pick, picked } from "../../state/gaze.ts";
import type { Subject } from "../../state/network.ts";
import { Editor } from "./Editor.tsx";
import { Why } from "./Why.tsx";

interface Props {
  readonly subject: Subject;
  readonly numbers: Numbers;
}

/** What each quantity is, in words. */
const WORDS: Readonly<Record<Entry["quantity"], string>> = {
  W: "a weight",
  b: "a bias",
  x: "an input",
  y: "a target",
  z: "what a unit adds up",
  h: "what a unit gives out",
  dW: "how the loss changes with a weight",
  db: "how the loss changes with a bias",
  dz: "how the loss changes with z",
  dh: "how the loss changes with h",
  dx: "how the loss changes with an input",
  delta: "how the loss changes with an output",
  loss: "the loss of a sample",
};

const EXPLAINED = new Set(["z", "h", "dW", "db", "dz", "dh", "dx", "delta"]);

/** The panel beside the picture. */
export function EntryPanel({ subject, numbers }: Props) {
  const entry = picked.value;
  const value = entry && valueAt(numbers, entry);
  const name = entry ? nameOf(entry, matrixAt(numbers, entry)) : "";
  useEffect(() => {
    if (name && value !== undefined) say(`${name} = ${shortNumber(value)}`);
  }, [name]);
  if (!entry || (value === undefined && numbers.pass)) {
    return (
      <aside class="panel card" aria-label="The chosen number">
        <h2>Choose a number</h2>
        <p class="quiet">
          A unit, a line or a cell of a table: here you see how it is formed, factor by factor. A weight or an input can
          be changed here.
        </p>
      </aside>
    );
  }
  const editable = editableOf(entry);
  return (
    <aside class="panel card" aria-label="The chosen number">
      <div class="panel-head">
        <h2>
          <span class="symbol">{name}</span>{" "}
          {value !== undefined && (
            <>
              = <NumberText value={value} />
            </>
          )}
        </h2>
        <button type="button" class="plain" aria-label="Close" onClick={() => pick(undefined)}>
          ✕
        </button>
      </div>
      <p class="quiet">{WORDS[entry.quantity]}</p>
      {EXPLAINED.has(entry.quantity) && <Why entry={entry} subject={subject} />}
      {editable && <Editor entry={editable} subject={subject} numbers={numbers} />}
    </aside>
  );
}
