// Another value for a weight, a bias, an input or a target, and what a nudge of it does: both in a copy of the network.
import { useState } from "preact/hooks";
import { FIRST_STEP, NudgeTable } from "../components/NudgeTable.tsx";
import { ValueField } from "../components/ValueField.tsx";
import {
  type Entry,
  editableOf,
  gradientOf,
  matrixAt,
  type Numbers,
  nameOf,
  type Place,
  valueAt,
  writeEntry,
} from "../model/entry.ts";
import { change, type KernelModel, lossesAt } from "./kernel.ts";
import { useAnswer } from "./useAnswer.ts";

interface Props {
  readonly model: KernelModel;
  readonly entry: Entry;
  readonly numbers: Numbers;
  readonly isKnown: (place: Place) => boolean;
  readonly onPick: (entry: Entry) => void;
}

/** A box with the value of what can have another one, and the nudge. */
export function KernelEditor({ model, entry, numbers, isKnown, onPick }: Props) {
  const editable = editableOf(entry);
  const value = editable && valueAt(numbers, editable);
  if (!editable || value === undefined) return null;
  const name = nameOf(editable, matrixAt(numbers, editable));
  const gradient = gradientOf(editable);
  const nudged = { model, entry: editable, numbers, isKnown, onPick, name, value };
  return (
    <section aria-label={`Change ${name}`}>
      <ValueField
        name={name}
        value={value}
        onChange={(next) => change(model, { ...model.get("changes"), [writeEntry(editable)]: next })}
      />
      {gradient && <KernelNudge {...nudged} gradient={gradient} />}
    </section>
  );
}

interface NudgeProps extends Props {
  readonly name: string;
  readonly value: number;
  readonly gradient: Entry;
}

function KernelNudge({ model, entry, numbers, isKnown, onPick, name, value, gradient }: NudgeProps) {
  const [h, setH] = useState<number>(FIRST_STEP);
  const { value: losses, problem } = useAnswer(
    () => lossesAt(model, entry, [value + h, value - h]),
    [model, writeEntry(entry), h, numbers],
  );
  return (
    <>
      {problem && <p role="alert">{problem}</p>}
      <NudgeTable
        name={name}
        h={h}
        onH={setH}
        losses={losses}
        derivative={isKnown(gradient) ? valueAt(numbers, gradient) : undefined}
        derivativeName={nameOf(gradient, matrixAt(numbers, gradient))}
        onDerivative={() => onPick(gradient)}
      />
    </>
  );
}
